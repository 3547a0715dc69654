"""The registry of handlers: which function does the work of which kind."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError

from taskmill.contracts.json_text import as_request_error
from taskmill.contracts.patterns import NAME_PATTERN
from taskmill.contracts.tasks import KindDefaults, RetryBackoff
from taskmill.sdk.errors import DuplicateKindError, InvalidDefaultsError, InvalidHandlerError, InvalidKindError

HandlerFunction = Callable[..., Any]
"""Called with the payload and a `Context`; returns (or, when async, resolves to) any JSON value."""

_Function = TypeVar("_Function", bound=HandlerFunction)
_KIND = re.compile(NAME_PATTERN)


@dataclass(frozen=True, slots=True)
class Handler:
    """The code for one kind.

    Attributes:
        kind: What it handles.
        function: What was registered.
        is_async: Whether it is awaited on the event loop; else it runs in a thread.
        app_name: The app that it was registered with.
        defaults: What holds for tasks of the kind that do not say otherwise.
    """

    kind: str
    function: HandlerFunction
    is_async: bool
    app_name: str
    defaults: KindDefaults


class TaskApp:
    """A named set of handlers.

    Args:
        name: Names the app in messages about it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._handlers: dict[str, Handler] = {}

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handlers by kind, in the order of their registration. A live view; it cannot be written to."""
        return MappingProxyType(self._handlers)

    def task(
        self,
        kind: str,
        *,
        max_attempts: int | None = None,
        backoff: RetryBackoff | None = None,
        timeout_seconds: float | None = None,
    ) -> Callable[[_Function], _Function]:
        """Register the decorated function, async or not, as the handler of `kind`.

        It is called with the payload (any JSON value) and a `Context`, both by position, and returns the result: any
        JSON value of up to 256 KiB. It runs at least once per attempt. An async function is stopped by cancellation
        when its time is over or a client cancels its task. A sync function runs in a thread of its own and cannot be
        interrupted: it goes on, and keeps its slot, but what it returns is dropped.

        What is given beside the kind holds for tasks of that kind that do not say otherwise.

        Args:
            kind: 1 to 64 of `a-z`, `0-9`, `-` and `_`, beginning with a letter or a digit.
            max_attempts: Attempts in a run at most, 1 to 100; None: 1.
            backoff: The wait between attempts; None: `RetryBackoff()`, 2 s at first, doubled each time.
            timeout_seconds: How long an attempt may take, more than 0 and up to 7 days; None: for ever.

        Returns:
            A decorator that returns the function unchanged.

        Raises:
            InvalidKindError: `kind` does not look as above.
            InvalidDefaultsError: `max_attempts` or `timeout_seconds` is out of bounds.
            InvalidHandlerError: The decorated object cannot be called with two arguments.
            DuplicateKindError: The app has a handler for `kind` already.
        """
        if not _KIND.fullmatch(kind):
            raise InvalidKindError(kind)
        defaults = _defaults(kind, max_attempts, backoff, timeout_seconds)

        def register(function: _Function) -> _Function:
            if not _takes_payload_and_context(function):
                raise InvalidHandlerError(kind)
            if kind in self._handlers:
                raise DuplicateKindError(kind, self.name, self.name)
            self._handlers[kind] = Handler(kind, function, _is_async(function), self.name, defaults)
            return function

        return register


def merge_handlers(apps: Iterable[TaskApp]) -> dict[str, Handler]:
    """Unite the handlers of several apps.

    Raises:
        DuplicateKindError: Two apps have a handler for the same kind.
    """
    merged: dict[str, Handler] = {}
    for app in apps:
        for kind, handler in app.handlers.items():
            if kind in merged:
                raise DuplicateKindError(kind, merged[kind].app_name, app.name)
            merged[kind] = handler
    return merged


def _defaults(
    kind: str, max_attempts: int | None, backoff: RetryBackoff | None, timeout_seconds: float | None
) -> KindDefaults:
    try:
        return KindDefaults(max_attempts=max_attempts, backoff=backoff, timeout_seconds=timeout_seconds)
    except ValidationError as error:
        problems = as_request_error(error).errors
        raise InvalidDefaultsError(kind, "; ".join(f"{it.pointer[1:]}: {it.detail}" for it in problems)) from error


def _takes_payload_and_context(function: object) -> bool:
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # some builtins have no signature to look at
        return True
    return True


def _is_async(function: HandlerFunction) -> bool:
    # An object whose __call__ is async is as good as an async function.
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 -- asks whether it is async, not whether it is callable
    )
