"""The registry of handlers: which function does the work of which kind."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from taskmill.contracts.tasks import NAME_PATTERN
from taskmill.sdk.errors import DuplicateKindError, InvalidHandlerError, InvalidKindError

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
    """

    kind: str
    function: HandlerFunction
    is_async: bool
    app_name: str


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

    def task(self, kind: str) -> Callable[[_Function], _Function]:
        """Register the decorated function, async or not, as the handler of `kind`.

        It is called with the payload (any JSON value) and a `Context`, both by position, and returns the result: any
        JSON value of up to 256 KiB. It runs at least once per attempt. A sync function runs in a thread of its own,
        and cannot be interrupted.

        Args:
            kind: 1 to 64 of `a-z`, `0-9`, `-` and `_`, beginning with a letter or a digit.

        Returns:
            A decorator that returns the function unchanged.

        Raises:
            InvalidKindError: `kind` does not look as above.
            InvalidHandlerError: The decorated object cannot be called with two arguments.
            DuplicateKindError: The app has a handler for `kind` already.
        """
        if not _KIND.fullmatch(kind):
            raise InvalidKindError(kind)

        def register(function: _Function) -> _Function:
            if not _takes_payload_and_context(function):
                raise InvalidHandlerError(kind)
            if kind in self._handlers:
                raise DuplicateKindError(kind, self.name, self.name)
            self._handlers[kind] = Handler(kind, function, _is_async(function), self.name)
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
