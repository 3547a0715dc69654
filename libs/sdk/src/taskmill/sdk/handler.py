"""A function that does the work of a kind, with all that was declared beside it."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from pydantic import JsonValue, TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import to_json

from taskmill.contracts.json_text import as_request_error
from taskmill.contracts.tasks import KindDefaults
from taskmill.sdk.context import Context
from taskmill.sdk.errors import InvalidPayloadError

_HANDLERS = "__taskmill_handlers__"

Call = Callable[[], Awaitable[Any]]
"""Calls a handler, or the middleware that stands before it, and resolves to its result."""

Middleware = Callable[[Context, Call], Awaitable[Any]]
"""Stands around every handler of an app: called with the context and with what goes on."""


class CallMode(Enum):
    """Where a handler runs."""

    ASYNC = auto()
    """On the event loop."""

    THREAD = auto()
    """In a thread of its own, which nothing can stop."""

    PROCESS = auto()
    """In a process of its own, which is killed when its time is over."""


@dataclass(slots=True)
class Shared:
    """What the handlers of an app share.

    Attributes:
        app_name: The name of the app.
        lifespan: Enters the lifespan of the app; None: it has none.
        state: What its lifespan yielded; None before that, or without one.
        middleware: What stands around each handler, the outermost first.
    """

    app_name: str
    lifespan: Callable[[], AbstractAsyncContextManager[Any]] | None = None
    state: Any = None
    middleware: list[Middleware] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Handler:
    """The code for one kind.

    Attributes:
        kind: What it handles.
        original: What was registered.
        function: What is called with the payload as it takes it, and a `Context`: the original, with its dependencies.
        payload_type: Reads a payload; None: it takes any JSON value as it is.
        mode: Where it runs.
        shared: What it shares with the others of its app.
        defaults: What holds for tasks of the kind that do not say otherwise.
        concurrency: How many tasks of the kind a processor executes at once; None: as many as it has slots.
        give_up: Exceptions after which there is no other attempt.
    """

    kind: str
    original: Callable[..., Any]
    function: Callable[..., Any]
    payload_type: TypeAdapter[Any] | None
    mode: CallMode
    shared: Shared
    defaults: KindDefaults
    concurrency: int | None = None
    give_up: tuple[type[Exception], ...] = ()

    def read(self, payload: JsonValue) -> Any:
        """The payload as the function takes it.

        Args:
            payload: Any JSON value.

        Raises:
            InvalidPayloadError: It does not fit; the message names every offending part, never its value.
        """
        if self.payload_type is None:
            return payload
        try:
            # As JSON and strictly, for then the schema says what is taken: a text that looks like a number is a text.
            return self.payload_type.validate_json(to_json(payload), strict=True)
        except ValidationError as error:
            problems = as_request_error(error).errors
            parts = "; ".join(f"{problem.pointer or 'the whole'}: {problem.detail}" for problem in problems)
            raise InvalidPayloadError(f"The payload does not fit. {parts}") from error

    def payload_schema(self) -> dict[str, Any] | None:
        """The JSON Schema of the payloads that it takes; None: it takes any, or what it takes has no schema."""
        if self.payload_type is None:
            return None
        try:
            return self.payload_type.json_schema()
        except PydanticInvalidForJsonSchema:
            return None

    def around(self, context: Context, call: Call) -> Call:
        """A call, with the middleware of the app around it: the first one that was registered is the outermost.

        Args:
            context: What the middleware gets.
            call: Calls the handler.
        """
        for middleware in reversed(self.shared.middleware):
            call = _within(middleware, context, call)
        return call


def mark(function: object, handler: Handler) -> None:
    """Note on a function that it handles a kind, for those who have nothing but the function.

    Methods and builtins take no note: they are found by their app only.
    """
    try:
        handlers: dict[str, Handler] = function.__dict__.setdefault(_HANDLERS, {})
    except AttributeError:
        return
    handlers[handler.kind] = handler


def handlers_of(function: object) -> dict[str, Handler]:
    """The handlers that a function was registered as, by kind; empty: none."""
    return getattr(function, _HANDLERS, {})


def _within(middleware: Middleware, context: Context, call: Call) -> Call:
    return lambda: middleware(context, call)
