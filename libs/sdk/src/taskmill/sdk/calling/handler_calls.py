"""Calling handlers: on the event loop, in threads, or in processes of their own."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Generic, Self, TypeVar

from pydantic_core import from_json

from taskmill.runtime.clock import Clock
from taskmill.sdk.calling.attempt import CalledAttempt, StopReason
from taskmill.sdk.calling.child_processes import ChildProcesses
from taskmill.sdk.calling.daemon_threads import DaemonThreads
from taskmill.sdk.child import Call
from taskmill.sdk.context import Context
from taskmill.sdk.handler import CallMode, Handler

_Attempt = TypeVar("_Attempt", bound=CalledAttempt)


class HandlerCalls(Generic[_Attempt]):
    """Calls handlers where they want to run, with the middleware of their app, and tells when their time is over.

    Cancelling a call stops an async handler where it waits, and kills a process. A thread cannot be stopped: the call
    ends at once, and its thread is counted until it ends, because it still takes up what a slot stands for.

    Args:
        now: Dates the deadlines that handlers are told.
        tell: Takes what a handler says, beside its attempt and as `Context` is told it; called in the handler's thread.
        on_timeout: Called when the time of an attempt is over and its call has not ended.
        on_thread_ended: Called on the event loop with the attempt when a thread has ended whose call had been
            cancelled.
        log_as: The service in whose log the processes of handlers write; None: they log as structlog does by itself.
    """

    def __init__(
        self,
        now: Clock,
        tell: Callable[..., None],
        on_timeout: Callable[[_Attempt], None],
        on_thread_ended: Callable[[_Attempt], None],
        *,
        log_as: str | None = None,
    ) -> None:
        self.is_shutting_down = False
        """Whether handlers are told that the processor ends."""
        self.given_up_count = 0
        """How many threads go on although nobody waits for their results."""
        self._now = now
        self._tell = tell
        self._on_timeout = on_timeout
        self._on_thread_ended = on_thread_ended
        self._threads = DaemonThreads("handler")
        self._processes = ChildProcesses(log_as)
        self._given_up: Counter[_Attempt] = Counter()

    def goes_on(self, attempt: _Attempt) -> bool:
        """Whether a thread of an attempt goes on although its call was cancelled."""
        return attempt in self._given_up

    async def call(self, handler: Handler, attempt: _Attempt) -> Any:
        """Call a handler for an attempt and return its result, or raise what it raises.

        Raises:
            asyncio.CancelledError: The call was cancelled, or the handler raised it.
            InvalidPayloadError: The payload is not what the handler takes.
        """
        on_timeout = partial(self._on_timeout, attempt)
        with AttemptControl(lambda: self.is_shutting_down, attempt, self._now, on_timeout) as control:
            tell = partial(self._tell, attempt)
            context = Context(attempt.work_item, tell, control=control, state=handler.shared.state, now=self._now)
            match handler.mode:
                case CallMode.ASYNC:
                    call = partial(_call_async, handler, attempt, context)
                case CallMode.THREAD:
                    call = partial(self._call_in_thread, handler, attempt, context)
                case CallMode.PROCESS:
                    call = partial(self._call_in_process, handler, attempt, tell, control)
            return await handler.around(context, call)()

    def shut_down(self) -> None:
        """Tell handlers that the processor ends."""
        self.is_shutting_down = True
        self._processes.shut_down()

    async def close(self) -> None:
        """End the processes of handlers, and the threads that are idle."""
        self._threads.shutdown()
        await self._processes.close()

    async def _call_in_thread(self, handler: Handler, attempt: _Attempt, context: Context) -> Any:
        call = self._threads.submit(handler.function, handler.read(attempt.work_item.payload), context)
        try:
            return await asyncio.wrap_future(call)
        except asyncio.CancelledError:
            if not (call.done() or call.cancel()):
                self._give_up(call, attempt)
            raise

    async def _call_in_process(
        self, handler: Handler, attempt: _Attempt, tell: Callable[..., None], control: "AttemptControl"
    ) -> Any:
        process = self._processes.take()
        call = Call.of(handler, attempt.work_item, control.deadline)
        try:
            execution = self._threads.submit(process.execute, call, tell, control.extend)
            result_json: bytes = await asyncio.wrap_future(execution)
            return from_json(result_json)
        except asyncio.CancelledError:
            process.kill()
            raise
        finally:
            self._processes.give_back(process)

    def _give_up(self, call: Future[Any], attempt: _Attempt) -> None:
        loop = asyncio.get_running_loop()
        self._given_up[attempt] += 1
        self.given_up_count += 1

        def tell(_call: Future[Any]) -> None:
            # The loop may be closed when a thread outlives the process's drain.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._on_end, attempt)

        call.add_done_callback(tell)

    def _on_end(self, attempt: _Attempt) -> None:
        self._given_up[attempt] -= 1
        self.given_up_count -= 1
        # Several, where middleware has called the handler more than once.
        if not self._given_up[attempt]:
            del self._given_up[attempt]
        self._on_thread_ended(attempt)


class AttemptControl:
    """How an attempt stands, for its handler, and the clock of its time while it is entered. Made on the event loop.

    Args:
        is_shutting_down: Tells whether the processor ends.
        attempt: Whose time it is.
        now: Dates the deadline.
        on_timeout: Called on the event loop when the time is over.
    """

    def __init__(
        self,
        is_shutting_down: Callable[[], bool],
        attempt: CalledAttempt,
        now: Clock,
        on_timeout: Callable[[], None],
    ) -> None:
        self.deadline: datetime | None = None
        self._is_shutting_down = is_shutting_down
        self._attempt = attempt
        self._now = now
        self._on_timeout = on_timeout
        self._timer: asyncio.TimerHandle | None = None
        self._wanted_until = 0.0
        self._is_extending = False
        if attempt.allowed_seconds is not None:
            self._loop = asyncio.get_running_loop()
            self._allow(attempt.allowed_seconds)

    @property
    def is_cancelled(self) -> bool:
        """Whether its result is not wanted any more."""
        return self._attempt.stop_reason in {StopReason.CANCELLED, StopReason.TIMED_OUT}

    @property
    def is_shutting_down(self) -> bool:
        """Whether the processor ends."""
        return self._is_shutting_down()

    def extend(self, seconds: float) -> None:
        """Move the deadline, if there is one, to some seconds from now. Thread-safe."""
        if self.deadline is None or self._attempt.stop_reason is not None:
            return
        # Told at once, so that the handler reads it; what follows from it is done on the loop.
        self.deadline = self._now() + timedelta(seconds=seconds)
        self._wanted_until = time.monotonic() + seconds
        # Of many wishes the newest counts: the loop need not hear of each.
        if not self._is_extending:
            self._is_extending = True
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._extend)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop the clock."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _extend(self) -> None:
        # First, or a wish that comes up meanwhile would be forgotten.
        self._is_extending = False
        seconds = self._wanted_until - time.monotonic()
        if self._timer is not None and self._attempt.stop_reason is None:
            self._timer.cancel()
            taken_seconds = (self._now() - self._attempt.started_at).total_seconds() if self._attempt.started_at else 0
            self._attempt.allowed_seconds = taken_seconds + seconds
            self._allow(seconds)

    def _allow(self, seconds: float) -> None:
        self.deadline = self._now() + timedelta(seconds=seconds)
        self._attempt.times_out_at = time.monotonic() + seconds
        self._timer = self._loop.call_later(seconds, self._on_timeout)


async def _call_async(handler: Handler, attempt: CalledAttempt, context: Context) -> Any:
    return await handler.function(handler.read(attempt.work_item.payload), context)
