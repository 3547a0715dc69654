"""Calling handlers, on the event loop or in threads."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from taskmill.processor.adapters.daemon_threads import DaemonThreads
from taskmill.processor.domain.held_attempt import HeldAttempt
from taskmill.runtime.clock import Clock
from taskmill.sdk import Context, Handler


class HandlerCalls:
    """Calls async handlers on the event loop, and sync ones in threads, and tells when their time is over.

    Cancelling a call stops an async handler where it waits. A thread cannot be stopped: the call ends at once, and its
    thread is counted until it ends, because it still takes up what a slot stands for.

    Args:
        now: Dates the deadlines that handlers are told.
        tell: Takes what a handler says, beside its attempt and as `Context` is told it; called in the handler's thread.
        on_timeout: Called when the time of an attempt is over and its call has not ended.
        on_thread_ended: Called on the event loop when a thread has ended whose call had been cancelled.
    """

    def __init__(
        self,
        now: Clock,
        tell: Callable[..., None],
        on_timeout: Callable[[HeldAttempt], None],
        on_thread_ended: Callable[[], None],
    ) -> None:
        self.given_up_count = 0
        """How many threads go on although nobody waits for their results."""
        self._now = now
        self._tell = tell
        self._on_timeout = on_timeout
        self._on_thread_ended = on_thread_ended
        self._threads = DaemonThreads("handler")

    async def call(self, handler: Handler, attempt: HeldAttempt) -> Any:
        """Call a handler for an attempt and return its result, or raise what it raises.

        Raises:
            asyncio.CancelledError: The call was cancelled, or the handler raised it.
        """
        with self._timed(attempt) as deadline:
            context = Context(attempt.work_item, partial(self._tell, attempt), deadline=deadline, now=self._now)
            if handler.is_async:
                return await handler.function(attempt.work_item.payload, context)
            call = self._threads.submit(handler.function, attempt.work_item.payload, context)
            try:
                return await asyncio.wrap_future(call)
            except asyncio.CancelledError:
                if not (call.done() or call.cancel()):
                    self._give_up(call)
                raise

    @contextmanager
    def _timed(self, attempt: HeldAttempt) -> Iterator[datetime | None]:
        """Tell when the attempt's time is over, unless the call has ended; yield when that is, None: never."""
        seconds = attempt.work_item.timeout_seconds
        if seconds is None:
            yield None
            return
        attempt.times_out_at = time.monotonic() + seconds
        timer = asyncio.get_running_loop().call_later(seconds, self._on_timeout, attempt)
        try:
            yield self._now() + timedelta(seconds=seconds)
        finally:
            timer.cancel()

    def _give_up(self, call: Future[Any]) -> None:
        loop = asyncio.get_running_loop()
        self.given_up_count += 1

        def tell(_call: Future[Any]) -> None:
            # The loop may be closed when a thread outlives the process's drain.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._on_end)

        call.add_done_callback(tell)

    def _on_end(self) -> None:
        self.given_up_count -= 1
        self._on_thread_ended()
