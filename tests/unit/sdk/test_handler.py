"""What the signature of a function says is what it is given."""

import functools
import types
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import BaseModel, JsonValue

from taskmill.contracts.status import Priority
from taskmill.contracts.work import WorkItem
from taskmill.sdk import Context, Depends, InvalidPayloadError, TaskApp
from taskmill.sdk.errors import InvalidHandlerError
from taskmill.sdk.handler import CallMode, Handler, handlers_of
from tests.support.own_process import double


class Order(BaseModel):
    """A payload."""

    width: int
    colours: list[str] = []


async def typed(order: Order, _ctx: Context) -> int:
    """A handler."""
    return order.width


class Shop:
    """Has a handler that is a method."""

    async def serve(self, order: Order, _ctx: Context) -> int:
        """A handler."""
        return order.width


class CallableHandler:
    """A handler that is an object."""

    async def __call__(self, order: Order, _ctx: Context) -> int:
        """Handle."""
        return order.width


def serve_with(_tool: str, order: Order, _ctx: Context) -> int:
    """A handler, once the tool is given."""
    return order.width


def handler_of(function: Any) -> Handler:
    """What a function is registered as."""
    app = TaskApp("a")
    app.task("k")(function)
    return app.handlers["k"]


def new_context() -> Context:
    """A context."""
    item = WorkItem(
        task_id=UUID(int=1), run=1, attempt=1, dispatch=1, title="t", kind="k", queue="q", priority=Priority.LOW
    )
    return Context(item, lambda *_args, **_content: None)


@pytest.mark.parametrize(
    "function", [typed, Shop().serve, CallableHandler(), functools.partial(serve_with, "saw")], ids=type
)
def test_a_payload_is_read_as_its_type(function: Any) -> None:
    """Wherever the annotation stands."""
    handler = handler_of(function)
    assert handler.read({"width": 3}) == Order(width=3)
    schema = handler.payload_schema()
    assert schema is not None
    assert schema["required"] == ["width"]


def test_a_payload_that_does_not_fit_is_refused() -> None:
    """Every wrong part is named, and no value is repeated."""
    with pytest.raises(InvalidPayloadError) as caught:
        handler_of(typed).read({"width": "secret", "colours": ["red", 7]})
    assert "/width: " in str(caught.value)
    assert "/colours/1: " in str(caught.value)
    assert "secret" not in str(caught.value)


def takes_any(_payload: Any, _ctx: Context) -> None:
    """A handler."""


def takes_json(_payload: JsonValue, _ctx: Context) -> None:
    """A handler."""


@pytest.mark.parametrize("function", [takes_any, takes_json, lambda *_: None, lambda _payload, _ctx: None])
def test_without_a_type_a_payload_stays_as_it_is(function: Any) -> None:
    """And has no schema."""
    payload: JsonValue = {"a": [1]}
    handler = handler_of(function)
    assert handler.read(payload) is payload
    assert handler.payload_schema() is None


def test_the_payload_comes_first() -> None:
    """Who takes the context first, as other libraries have it, is told of the order."""

    def handle(_ctx: Context, _payload: int) -> None:
        """A handler."""

    with pytest.raises(InvalidHandlerError, match="payload and context, in this order"):
        handler_of(handle)


def test_a_type_that_cannot_be_found_is_refused_at_once() -> None:
    """Not at the first task."""

    def handle(_payload: "Missing", _ctx: Context) -> None:  # type: ignore[name-defined] # noqa: F821
        """A handler."""

    with pytest.raises(InvalidHandlerError, match="Missing"):
        handler_of(handle)


async def test_dependencies_are_given_and_closed() -> None:
    """They see the payload and the context by the handler's own names, and live as long as the call."""
    seen: list[str] = []

    async def connection(ctx: Context) -> AsyncIterator[str]:
        seen.append(f"open {ctx.kind}")
        yield "connection"
        seen.append("close")

    def doubled(order: Order) -> int:
        return order.width * 2

    async def handle(
        _order: Order, ctx: Context, db: Annotated[str, Depends(connection)], by: Annotated[int, Depends(doubled)]
    ) -> str:
        seen.append(f"work on {ctx.task_id}")
        return f"{db} {by}"

    async def handle_order(
        order: Order, ctx: Context, db: Annotated[str, Depends(connection)], by: Annotated[int, Depends(doubled)]
    ) -> str:
        return await handle(order, ctx, db, by)

    handler = handler_of(handle_order)
    assert await handler.function(handler.read({"width": 4}), new_context()) == "connection 8"
    assert seen == ["open k", f"work on {UUID(int=1)}", "close"]


def test_a_parameter_that_nobody_gives_is_refused() -> None:
    """At registration."""

    def handle(_payload: Any, _ctx: Context, more: int) -> int:
        return more

    with pytest.raises(InvalidHandlerError, match="'more' has neither a default nor Depends"):
        handler_of(handle)


def test_an_async_dependency_of_a_sync_handler_is_refused() -> None:
    """Nobody could await it."""

    async def dependency() -> int:
        return 1

    def handle(_payload: Any, _ctx: Context, more: Annotated[int, Depends(dependency)]) -> int:
        return more

    with pytest.raises(InvalidHandlerError, match="dependencies"):
        handler_of(handle)


async def test_middleware_stands_around_in_order() -> None:
    """The first one is the outermost; each may change the result."""
    app, seen = TaskApp("a"), []

    @app.middleware
    async def outer(ctx: Context, call_next: Any) -> Any:
        seen.append(f"outer {ctx.kind}")
        return ["outer", await call_next()]

    @app.middleware
    async def inner(_ctx: Context, call_next: Any) -> Any:
        seen.append("inner")
        return ["inner", await call_next()]

    app.task("k")(typed)

    async def call() -> str:
        return "called"

    assert await app.handlers["k"].around(new_context(), call)() == ["outer", ["inner", "called"]]
    assert seen == ["outer k", "inner"]


def test_middleware_is_async() -> None:
    """Anything else would stop the event loop."""

    def plain(_ctx: Context, call_next: Any) -> Any:
        return call_next()

    with pytest.raises(TypeError, match="async"):
        TaskApp("a").middleware(plain)


def test_a_function_knows_what_it_handles() -> None:
    """For tests of a handler, which have nothing but it."""
    [handler] = handlers_of(double).values()
    assert (handler.kind, handler.mode, handler.original) == ("double", CallMode.PROCESS, double)
    assert handlers_of(print) == {}


def test_what_another_process_cannot_find_has_no_process_of_its_own() -> None:
    """It has to be imported by its name, and it is not awaited."""

    def local(_payload: Any, _ctx: Context) -> None:
        """A handler within a function."""

    for function in (local, lambda _payload, _ctx: None, functools.partial(serve_with, "saw")):
        with pytest.raises(InvalidHandlerError, match="by its name"):
            TaskApp("a").task("k", process=True)(function)
    script = types.FunctionType(double.__code__, {"__name__": "__main__"})
    with pytest.raises(InvalidHandlerError, match="by its name: the file that is run itself is none"):
        TaskApp("a").task("k", process=True)(script)
    with pytest.raises(InvalidHandlerError, match="sync"):
        TaskApp("a").task("k", process=True)(typed)
