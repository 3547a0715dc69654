"""Calls the handlers."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from pydantic import TypeAdapter, ValidationError

from taskmill.contracts.work import WorkItem
from taskmill.processor.actors.reports import Reports
from taskmill.processor.adapters.daemon_threads import DaemonThreads
from taskmill.processor.domain.attempt import Attempt, AttemptKey
from taskmill.processor.domain.held_work import HeldWork
from taskmill.processor.domain.outcome import result_json, task_error
from taskmill.processor.domain.report_text import completed_text, failed_text, given_back_text
from taskmill.processor.errors import UndecodableWorkError
from taskmill.runtime.actor import Actor
from taskmill.runtime.clock import Clock, utc_now
from taskmill.runtime.pull import Delivery
from taskmill.sdk import Context, Handler, TaskFailedError

_log = structlog.get_logger(__name__)

_WORK_ITEM = TypeAdapter(WorkItem)

CANCEL_SECONDS = 2
"""How long a handler may take to end once it was cancelled in the drain; then it is left behind."""


class Execution(Actor):
    """Runs each work item's handler: async ones on the event loop, sync ones in threads.

    Args:
        handlers: The handler of each kind.
        reports: Told of every start and end.
        held: Where work items are noted from their fetch to their ack.
        slots: How many handlers run at once.
        grace_seconds: How long handlers may go on when the processor drains; then they are cancelled, and their work
            is given back.
        clock: Dates starts and ends.
    """

    name = "execution"

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        reports: Reports,
        held: HeldWork,
        *,
        slots: int,
        grace_seconds: float,
        clock: Clock = utc_now,
    ) -> None:
        self._handlers = handlers
        self._reports = reports
        self._held = held
        self._slots = slots
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._threads = DaemonThreads("handler")
        self._running: dict[Attempt, asyncio.Task[None]] = {}
        self._is_cancelling = False
        self._stop_requested = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    @property
    def free_slots(self) -> int:
        """How many more handlers may be called now."""
        return self._slots - len(self._running)

    def on_slot_freed(self, listener: Callable[[], None]) -> None:
        """Have a function called whenever a handler has ended."""
        self._listeners.append(listener)

    def begin(self, delivery: Delivery) -> bool:
        """Execute a work item that arrived, if a slot is free.

        Returns:
            Whether it was taken. A redelivery of what is executed here already is taken, whether a slot is free or not.

        Raises:
            UndecodableWorkError: It is no work item.
        """
        try:
            work_item = _WORK_ITEM.validate_json(delivery.data)
        except ValidationError as error:
            raise UndecodableWorkError(error.error_count()) from error
        key = AttemptKey(work_item.task_id, work_item.attempt, work_item.dispatch)
        if self._adopt(key, delivery):
            return True
        if self.free_slots <= 0:
            return False
        attempt = Attempt(key, work_item, delivery.delivery, delivery.delivery, delivery.reply)
        self._held.begin(attempt)
        handler = self._handlers.get(work_item.kind)
        if handler is None:
            _log.warning("attempt.unknown_kind", task_id=str(work_item.task_id), kind=work_item.kind)
            self._reports.end(attempt, given_back_text(attempt.fence, "unknown_kind"))
        else:
            self._running[attempt] = asyncio.create_task(self._execute(attempt, handler))
        return True

    def stop(self) -> None:
        """Give the running handlers their time to end."""
        self._stop_requested.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Serve until stopped; return when no handler runs, or none that could be stopped."""
        started()
        await self._stop_requested.wait()
        if self._running:
            await asyncio.wait(self._running.values(), timeout=self._grace_seconds)
        self._is_cancelling = True
        cancelled = dict(self._running)
        for task in cancelled.values():
            task.cancel()
        if cancelled:
            await asyncio.wait(cancelled.values(), timeout=CANCEL_SECONDS)
        for attempt in self._running:
            _log.error("attempt.left_behind", task_id=str(attempt.work_item.task_id), kind=attempt.work_item.kind)
            self._reports.end(attempt, given_back_text(attempt.fence, "draining"))

    def _adopt(self, key: AttemptKey, delivery: Delivery) -> bool:
        attempt = self._held.adopt(key, delivery.delivery, delivery.reply)
        if attempt is None:
            return False
        _log.info("attempt.redelivered_here", task_id=str(key.task_id), delivery=delivery.delivery)
        has_new_fence = attempt.delivery == delivery.delivery
        if has_new_fence and not attempt.is_ended:
            self._reports.announce(attempt)
        return True

    async def _execute(self, attempt: Attempt, handler: Handler) -> None:
        try:
            self._reports.end(attempt, await self._outcome(attempt, handler))
        finally:
            del self._running[attempt]
            for listener in self._listeners:
                listener()

    async def _outcome(self, attempt: Attempt, handler: Handler) -> bytes:
        """Call the handler and return the report of its end."""
        started_at = attempt.started_at = self._clock()
        try:
            if attempt.delivery > 1:
                await self._stored_start(attempt)
            else:
                self._reports.begin(attempt)
            result = result_json(await self._call(attempt, handler))
        except asyncio.CancelledError as error:
            if self._is_cancelling:
                return given_back_text(attempt.fence, "draining")
            # The handler cancelled itself, or awaited what was cancelled: a failure like any other.
            return self._failure(attempt, started_at, error)
        except BaseException as error:
            return self._failure(attempt, started_at, error)
        return completed_text(attempt.fence, started_at, self._clock(), result)

    async def _stored_start(self, attempt: Attempt) -> None:
        """Wait until the start is stored: only so does the store know of every delivery that killed its processor."""
        stored = asyncio.Event()
        attempt.on_start_stored = stored.set
        self._reports.announce(attempt)
        await stored.wait()

    async def _call(self, attempt: Attempt, handler: Handler) -> Any:
        context = Context(attempt.work_item, partial(self._reports.note_progress, attempt))
        if handler.is_async:
            return await handler.function(attempt.work_item.payload, context)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, handler.function, attempt.work_item.payload, context)

    def _failure(self, attempt: Attempt, started_at: datetime, error: BaseException) -> bytes:
        told = task_error(error)
        # A failure that the handler told on purpose is no defect, so its traceback would only be noise.
        traceback_of = None if isinstance(error, TaskFailedError) else error
        _log.warning(
            "attempt.failed",
            task_id=str(attempt.work_item.task_id),
            kind=attempt.work_item.kind,
            code=told.code,
            exc_info=traceback_of,
        )
        return failed_text(attempt.fence, started_at, self._clock(), told)
