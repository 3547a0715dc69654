"""What handlers return is written down exactly, or refused."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from taskmill.contracts.limits import MAX_JSON_DEPTH, MAX_RESULT_BYTES
from taskmill.sdk.errors import BadResultError
from taskmill.sdk.outcome import failure_of, result_json


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


def test_the_type_of_an_exception_is_told_with_its_module() -> None:
    """Unless it is a builtin one."""
    assert failure_of(ValueError("v")).error.type == "ValueError"
    assert failure_of(BadValueError("v")).error.type == f"{__name__}.BadValueError"


class UnprintableError(Exception):
    """An exception whose notes are no text."""

    __notes__ = property(lambda _self: 1 / 0)


def test_a_traceback_that_cannot_be_written_is_left_out() -> None:
    """What the user's objects do when they are written is no reason to lose the report."""
    failure = failure_of(UnprintableError("v"))
    assert (failure.error.message, failure.traceback) == ("v", None)


class BadValueError(Exception):
    """An exception of a user's."""
