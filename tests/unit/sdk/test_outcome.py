"""What handlers return is written down exactly, or refused."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from taskmill.contracts.limits import MAX_ERROR_MESSAGE_CHARS, MAX_JSON_DEPTH, MAX_RESULT_BYTES
from taskmill.sdk.errors import BadResultError, NotNow, RetryLater
from taskmill.sdk.outcome import failure_of, put_off_seconds, result_json


@dataclass
class Point:
    """A dataclass that a handler may return."""

    x: int


def nested(depth: int) -> Any:
    """Arrays within arrays."""
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


def circular() -> Any:
    """A list that holds itself."""
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (None, b"null"),
        ({"a": [1, 2.5, True, "ü"]}, '{"a":[1,2.5,true,"ü"]}'.encode()),
        (2**63 - 1, b"9223372036854775807"),
        (Point(3), b'{"x":3}'),
        (datetime(2026, 1, 2, tzinfo=UTC), b'"2026-01-02T00:00:00Z"'),
        ((1, 2), b"[1,2]"),
        (nested(MAX_JSON_DEPTH), b"[" * MAX_JSON_DEPTH + b"]" * MAX_JSON_DEPTH),
        ("x" * (MAX_RESULT_BYTES - 2), b'"' + b"x" * (MAX_RESULT_BYTES - 2) + b'"'),
        ("NaN", b'"NaN"'),
    ],
)
def test_results_are_written_as_compact_json(result: Any, text: bytes) -> None:
    """Plain JSON values, and what pydantic knows how to write."""
    assert result_json(result) == text


@pytest.mark.parametrize(
    "result",
    [
        float("nan"),
        [float("inf")],
        {"a": "b\x00"},
        {"\x00": 1},
        "\udfff",
        2**63,
        object(),
        b"\xff",
        circular(),
        nested(MAX_JSON_DEPTH + 1),
        nested(5_000),
        "x" * (MAX_RESULT_BYTES - 1),
    ],
)
def test_what_cannot_be_kept_is_refused(result: Any) -> None:
    """The reason is told; the value is not."""
    with pytest.raises(BadResultError) as caught:
        result_json(result)
    failure = failure_of(caught.value)
    assert (failure.error.code, failure.is_final) == ("bad_result", True)
    assert "xxx" not in str(caught.value)


def test_what_cannot_be_written_is_named() -> None:
    """Its type tells who forgot to await something what it was; and NaN is called a number."""

    async def forgotten() -> None:
        """Nobody awaits it."""

    coroutine = forgotten()
    with pytest.raises(BadResultError, match=r"cannot be written as JSON: .*coroutine"):
        result_json({"page": coroutine})
    coroutine.close()
    with pytest.raises(BadResultError, match="A number is not finite"):
        result_json(float("nan"))


def test_the_type_of_an_exception_is_told_with_its_module() -> None:
    """Unless it is a builtin one."""
    assert failure_of(ValueError("v")).error.type == "ValueError"
    assert failure_of(BadValueError("v")).error.type == f"{__name__}.BadValueError"


class UnprintableError(Exception):
    """An exception whose traceback cannot be had. Python 3.13 passes over notes that cannot."""

    __traceback__ = property(lambda _self: 1 / 0)


def test_a_traceback_that_cannot_be_written_is_left_out() -> None:
    """What the user's objects do when they are written is no reason to lose the report."""
    failure = failure_of(UnprintableError("v"))
    assert (failure.error.message, failure.traceback) == ("v", None)


class BadValueError(Exception):
    """An exception of a user's."""


class BusyError(NotNow):
    """Does not say for how long."""

    def __init__(self) -> None:
        pass


class NeverError(RetryLater):
    """Wants to wait for what is no time."""

    def __init__(self, after_seconds: Any) -> None:
        super().__init__(1)
        self.retry_after_seconds = after_seconds


@pytest.mark.parametrize("after_seconds", [float("nan"), -1, 1e9, "soon", object()])
def test_a_wait_that_is_none_makes_an_error_like_any_other(after_seconds: Any) -> None:
    """A subclass has broken what its base class promises; the attempt must come to an end all the same."""
    failure = failure_of(NeverError(after_seconds))
    assert (failure.error.code, failure.retry_after_seconds) == ("handler_error", None)
    put_off = NotNow(1)
    put_off.after_seconds = after_seconds
    assert put_off_seconds(put_off) is None


def test_a_wait_may_be_told_by_a_subclass() -> None:
    """As long as it is one."""
    assert put_off_seconds(NotNow(7)) == 7
    assert put_off_seconds(BusyError()) is None
    assert failure_of(NeverError(7)).retry_after_seconds == 7


class Untellable(type):
    """Its classes cannot be asked for their instances."""

    def __instancecheck__(cls, instance: object) -> bool:
        raise OSError("no")


def test_whatever_is_raised_can_be_told() -> None:
    """An attempt whose end cannot be told would be held for ever."""
    unasked: Any = Untellable("Unasked", (Exception,), {})
    assert failure_of(ValueError("x"), give_up=(unasked,)).error.code == "handler_error"
    assert len(failure_of(BadResultError("x" * 10_000)).error.message) == MAX_ERROR_MESSAGE_CHARS
