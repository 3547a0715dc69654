"""The registry of handlers: which function does the work of which kind."""

import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError

from taskmill.contracts.json_text import as_request_error
from taskmill.contracts.patterns import NAME_PATTERN
from taskmill.contracts.tasks import KindDefaults
from taskmill.sdk.errors import DuplicateKindError, InvalidDefaultsError, InvalidHandlerError, InvalidKindError
from taskmill.sdk.handler import CallMode, Handler, Middleware, Shared, mark
from taskmill.sdk.retry import Retry
from taskmill.sdk.signature import payload_type_of, with_dependencies

Lifespan = Callable[["TaskApp"], AbstractAsyncContextManager[Any]]
"""Made with `contextlib.asynccontextmanager`: what stands before `yield` is done at the start, the rest at the end."""

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Middleware = TypeVar("_Middleware", bound=Middleware)
_KIND = re.compile(NAME_PATTERN)


class TaskApp:
    """A named set of handlers.

    Args:
        name: Names the app in messages about it.
        lifespan: Entered before a processor takes its first task, and left after its last one. What it yields is
            `ctx.state` in every handler of the app. It is not entered in the processes that handlers have of their own.
    """

    def __init__(self, name: str, *, lifespan: Lifespan | None = None) -> None:
        self._shared = Shared(name, None if lifespan is None else partial(lifespan, self))
        self._handlers: dict[str, Handler] = {}

    @property
    def name(self) -> str:
        """The name that it was given."""
        return self._shared.app_name

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handlers by kind, in the order of their registration. A live view; it cannot be written to."""
        return MappingProxyType(self._handlers)

    def task(
        self,
        kind: str,
        *,
        queue: str | None = None,
        timeout: float | None = None,
        retry: Retry | None = None,
        concurrency: int | None = None,
        process: bool = False,
    ) -> Callable[[_Function], _Function]:
        """Register the decorated function, async or not, as the handler of `kind`.

        It is called with the payload and a `Context`, both by position, and returns the result: any JSON value of up to
        256 KiB, or what pydantic writes as one (models, dataclasses, datetimes). A payload is read as the type that the
        first parameter is annotated with, a pydantic model as a rule; one that does not fit fails its task at once with
        `invalid_payload`. Further parameters are `Annotated[…, Depends(…)]`.

        It runs at least once per attempt. An async function is stopped by cancellation when its time is over or a
        client cancels its task. A sync function runs in a thread of its own and cannot be interrupted: it goes on, and
        keeps its slot, but what it returns is dropped. With `process` it has a process of its own, which is killed.

        What is given beside the kind holds for tasks of that kind that do not say otherwise.

        Args:
            kind: 1 to 64 of `a-z`, `0-9`, `-` and `_`, beginning with a letter or a digit.
            queue: Where tasks of the kind wait; None: `default`. A processor whose queues are not set serves it.
            timeout: How long an attempt may take, in seconds, more than 0 and up to 7 days; None: for ever.
            retry: How failed attempts are repeated; None: they are not.
            concurrency: How many tasks of the kind each processor executes at once, 1 or more; None: as many as it has
                slots. Those above it wait their turn there.
            process: Whether a sync function runs in a process of its own. It must be found by its name in its module.

        Returns:
            A decorator that returns the function unchanged.

        Raises:
            InvalidKindError: `kind` does not look as above.
            InvalidDefaultsError: What is declared beside it is out of bounds.
            InvalidHandlerError: The decorated object cannot be called like that.
            DuplicateKindError: The app has a handler for `kind` already.
        """
        given: object = kind
        # `@app.task` without a kind hands over the function.
        if not (isinstance(given, str) and _KIND.fullmatch(given)):
            raise InvalidKindError(kind)
        if concurrency is not None and concurrency < 1:
            raise InvalidDefaultsError(kind, "concurrency: it is 1 or more")
        defaults = _defaults(kind, queue, timeout, retry)
        give_up = _give_up(kind, retry)

        def register(function: _Function) -> _Function:
            payload_type = payload_type_of(kind, function)
            mode = _mode(kind, function, has_process=process)
            if kind in self._handlers:
                raise DuplicateKindError(kind, self.name, self.name)
            handler = Handler(
                kind,
                function,
                with_dependencies(kind, function),
                payload_type,
                mode,
                self._shared,
                defaults,
                concurrency,
                give_up,
            )
            self._handlers[kind] = handler
            mark(function, handler)
            return function

        return register

    def middleware(self, function: _Middleware) -> _Middleware:
        """Have an async function stand around every handler of the app, also around those registered before.

            @app.middleware
            async def timed(ctx, call_next):
                began_at = time.monotonic()
                try:
                    return await call_next()
                finally:
                    ctx.log.info("took", seconds=time.monotonic() - began_at)

        It runs on the event loop, wherever the handler does. What it returns is the result, and what it raises is how
        the attempt fails. The first one that is registered is the outermost.

        Args:
            function: Takes the context, and what goes on: it is called without arguments, once as a rule, and awaited.

        Returns:
            The function, unchanged.

        Raises:
            TypeError: It is no async function.
        """
        if not _is_async(function):
            raise TypeError("middleware is an async function that takes the context and what to call next")
        self._shared.middleware.append(function)
        return function

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Enter the lifespan, and leave it in the end. For those who call handlers."""
        if self._shared.lifespan is None:
            yield
            return
        async with self._shared.lifespan() as state:
            self._shared.state = state
            try:
                yield
            finally:
                self._shared.state = None


def merge_handlers(apps: Iterable[TaskApp]) -> dict[str, Handler]:
    """Unite the handlers of several apps.

    Raises:
        DuplicateKindError: Two apps have a handler for the same kind.
    """
    merged: dict[str, Handler] = {}
    for app in apps:
        for kind, handler in app.handlers.items():
            if kind in merged:
                raise DuplicateKindError(kind, merged[kind].shared.app_name, app.name)
            merged[kind] = handler
    return merged


def _defaults(kind: str, queue: str | None, timeout: float | None, retry: Retry | None) -> KindDefaults:
    given: object = retry
    if not isinstance(given, Retry | None):
        raise InvalidDefaultsError(kind, "retry: it is a Retry, such as Retry(attempts=3)")
    try:
        if retry is None:
            return KindDefaults(queue=queue, timeout_seconds=timeout)
        return KindDefaults(queue=queue, timeout_seconds=timeout, max_attempts=retry.attempts, backoff=retry.backoff)
    except ValidationError as error:
        problems = as_request_error(error).errors
        raise InvalidDefaultsError(kind, "; ".join(f"{it.pointer[1:]}: {it.detail}" for it in problems)) from error


def _give_up(kind: str, retry: Retry | None) -> tuple[type[Exception], ...]:
    """Checked here: what `isinstance` does not take would only be found out when a handler raises something."""
    if retry is None:
        return ()
    given: object = retry.give_up
    exceptions = given if isinstance(given, tuple) else (given,)
    if not all(isinstance(it, type) and issubclass(it, Exception) for it in exceptions):
        raise InvalidDefaultsError(kind, "give_up: it is an exception, or a tuple of them")
    return exceptions


def _mode(kind: str, function: Any, *, has_process: bool) -> CallMode:
    if not has_process:
        return CallMode.ASYNC if _is_async(function) else CallMode.THREAD
    if _is_async(function):
        raise InvalidHandlerError(kind, "A handler with a process of its own is a sync function")
    is_found_by_name = inspect.isfunction(function) and "<" not in function.__qualname__
    if not is_found_by_name or function.__module__ == "__main__":
        hint = ": the file that is run itself is none, so put the app into another one" if is_found_by_name else ""
        raise InvalidHandlerError(
            kind,
            "A handler with a process of its own is a function of a module that another process can import by its name"
            + hint,
        )
    return CallMode.PROCESS


def _is_async(function: Any) -> bool:
    # An object whose __call__ is async is as good as an async function.
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 -- asks whether it is async, not whether it is callable
    )
