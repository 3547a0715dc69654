"""Handlers are registered by kind, and nothing is registered twice."""

import functools
from typing import Any

import pytest

from taskmill.contracts.tasks import KindDefaults, RetryBackoff
from taskmill.sdk import Context, Retry, TaskApp
from taskmill.sdk.app import merge_handlers
from taskmill.sdk.errors import DuplicateKindError, InvalidDefaultsError, InvalidHandlerError, InvalidKindError
from taskmill.sdk.handler import CallMode


async def handle(payload: Any, _context: Context) -> Any:
    """A handler."""
    return payload


def handle_in_thread(payload: Any, _context: Context) -> Any:
    """A sync handler."""
    return payload


class CallableHandler:
    """A handler that is an object."""

    async def __call__(self, payload: Any, _context: Context) -> Any:
        """Return the payload."""
        return payload


def test_the_decorator_registers_and_returns_the_function() -> None:
    """A decorated function is still itself, and found by its kind."""
    app = TaskApp("mine")
    assert app.task("make-report")(handle) is handle
    handler = app.handlers["make-report"]
    assert (handler.kind, handler.function, handler.shared.app_name) == ("make-report", handle, "mine")


@pytest.mark.parametrize(
    ("function", "mode"),
    [
        (handle, CallMode.ASYNC),
        (handle_in_thread, CallMode.THREAD),
        (functools.partial(handle), CallMode.ASYNC),
        (CallableHandler(), CallMode.ASYNC),
        (lambda payload, context: (payload, context), CallMode.THREAD),
        (lambda *arguments: arguments, CallMode.THREAD),
    ],
)
def test_async_functions_are_told_from_others(function: Any, mode: CallMode) -> None:
    """Whatever is called like an async function is awaited."""
    app = TaskApp("mine")
    app.task("k")(function)
    assert app.handlers["k"].mode is mode


@pytest.mark.parametrize("kind", ["", "Upper", "a.b", "a b", "-a", "_a", "a" * 65, "ä", "a\n"])
def test_a_bad_kind_is_refused(kind: str) -> None:
    """A kind that is no token of a subject is refused at once, and named."""
    with pytest.raises(InvalidKindError, match="is no kind"):
        TaskApp("mine").task(kind)


def test_a_decorator_without_a_kind_is_refused() -> None:
    """`@app.task` hands over the function: it is no kind."""
    decorate: Any = TaskApp("mine").task
    with pytest.raises(InvalidKindError, match="is no kind"):
        decorate(handle)


@pytest.mark.parametrize("kind", ["a", "0", "a-b_c", "a" * 64])
def test_a_good_kind_is_taken(kind: str) -> None:
    """All of the allowed characters may be used."""
    app = TaskApp("mine")
    app.task(kind)(handle)
    assert list(app.handlers) == [kind]


@pytest.mark.parametrize("function", [lambda: None, lambda payload: payload, lambda a, b, c: (a, b, c), "text", None])
def test_what_cannot_be_called_with_two_arguments_is_refused(function: Any) -> None:
    """A handler with the wrong signature is refused at registration, not at its first task."""
    with pytest.raises(InvalidHandlerError, match="two arguments"):
        TaskApp("mine").task("k")(function)


def test_a_kind_is_registered_once() -> None:
    """The second handler of a kind is refused, and the first stays."""
    app = TaskApp("mine")
    app.task("k")(handle)
    with pytest.raises(DuplicateKindError, match="'mine'"):
        app.task("k")(handle_in_thread)
    assert app.handlers["k"].function is handle


def test_defaults_are_declared_beside_the_kind() -> None:
    """What is not declared is left to the store."""
    app = TaskApp("mine")
    app.task("declared", queue="q", timeout=1.5, retry=Retry(attempts=5, base=1, factor=3))(handle)
    app.task("silent")(handle)
    backoff = RetryBackoff(base_seconds=1, factor=3)
    declared = KindDefaults(queue="q", max_attempts=5, backoff=backoff, timeout_seconds=1.5)
    assert app.handlers["declared"].defaults == declared
    assert app.handlers["silent"].defaults == KindDefaults()


@pytest.mark.parametrize(
    ("defaults", "named"),
    [
        ({"retry": Retry(attempts=0)}, "max_attempts"),
        ({"retry": Retry(attempts=101)}, "max_attempts"),
        ({"retry": Retry(base=-1)}, "base_seconds"),
        ({"retry": 3}, r"Retry\(attempts=3\)"),
        ({"timeout": 0}, "timeout_seconds"),
        ({"timeout": float("inf")}, "timeout_seconds"),
        ({"queue": "No Queue"}, "queue"),
        ({"concurrency": 0}, "concurrency"),
    ],
)
def test_defaults_out_of_bounds_are_refused(defaults: dict[str, Any], named: str) -> None:
    """At registration, with the name of what is wrong."""
    with pytest.raises(InvalidDefaultsError, match=f"'k'.*{named}"):
        TaskApp("mine").task("k", **defaults)


def test_handlers_cannot_be_changed_from_outside() -> None:
    """The view of the handlers is read-only."""
    app = TaskApp("mine")
    with pytest.raises(TypeError):
        app.handlers["k"] = None  # type: ignore[index]


def test_apps_are_merged() -> None:
    """The handlers of several apps are served together."""
    first, second = TaskApp("first"), TaskApp("second")
    first.task("a")(handle)
    second.task("b")(handle_in_thread)
    assert list(merge_handlers([first, second])) == ["a", "b"]


def test_a_clash_of_apps_names_both() -> None:
    """Two apps with the same kind cannot be served together."""
    first, second = TaskApp("first"), TaskApp("second")
    first.task("a")(handle)
    second.task("a")(handle)
    with pytest.raises(DuplicateKindError, match=r"'first'.*'second'"):
        merge_handlers([first, second])


@pytest.mark.parametrize("give_up", [[ValueError], "ValueError", (ValueError("x"),), (int,)])
def test_what_is_no_tuple_of_exceptions_is_refused(give_up: Any) -> None:
    """It would only be found out when something is raised."""
    with pytest.raises(InvalidDefaultsError, match="give_up"):
        TaskApp("app").task("k", retry=Retry(give_up=give_up))


def test_one_exception_may_be_given_up_on() -> None:
    """Without a tuple, as `except` takes it."""
    app = TaskApp("app")
    app.task("k", retry=Retry(give_up=ValueError))(handle)
    assert app.handlers["k"].give_up == (ValueError,)
