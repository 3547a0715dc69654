"""One call of a handler, watched and stopped as a processor does it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from pydantic import JsonValue

from taskmill.contracts.reports import Checkpointed, HandlerReport
from taskmill.contracts.work import WorkItem
from taskmill.runtime.clock import utc_now
from taskmill.sdk.calling.attempt import CANCEL_SECONDS, StopReason
from taskmill.sdk.calling.ending import Ending, Stopped, ending_of, timed_out
from taskmill.sdk.calling.handler_calls import HandlerCalls
from taskmill.sdk.handler import Handler


@dataclass(slots=True, eq=False)
class CalledItem:
    """A work item whose handler is called; see `CalledAttempt`."""

    work_item: WorkItem
    stop_requested: asyncio.Event = field(default_factory=asyncio.Event)
    is_time_over: asyncio.Event = field(default_factory=asyncio.Event)
    started_at: datetime | None = None
    allowed_seconds: float | None = None
    times_out_at: float | None = None
    stop_reason: StopReason | None = None
    is_ended: bool = False

    def stop(self, reason: StopReason) -> None:
        """Have its handler stopped. The first reason counts."""
        if self.stop_reason is None:
            self.stop_reason = reason
            self.stop_requested.set()


class Executions:
    """Calls the handler of a task, and keeps what it says.

    Args:
        handler: What is called.
        cancel: Set when a client cancels the task.
    """

    def __init__(self, handler: Handler, cancel: asyncio.Event) -> None:
        self.reports: list[HandlerReport] = []
        """All that the handler has said."""
        self._handler = handler
        self._cancel = cancel
        self._calls: HandlerCalls[CalledItem] = HandlerCalls(utc_now, self._tell, _time_out, lambda _: None)

    @classmethod
    @asynccontextmanager
    async def of(cls, handler: Handler, cancel: asyncio.Event) -> AsyncIterator[Self]:
        """Make them, and end what they started."""
        executions = cls(handler, cancel)
        try:
            yield executions
        finally:
            await executions._calls.close()

    @property
    def checkpoint(self) -> JsonValue:
        """The newest checkpoint that the handler has left; None: none."""
        newest = [report for report in self.reports if isinstance(report, Checkpointed)][-1:]
        return newest[0].checkpoint if newest else None

    @property
    def is_cancelled(self) -> bool:
        """Whether a client has cancelled the task."""
        return self._cancel.is_set()

    async def execute(self, work_item: WorkItem) -> Ending:
        """Call the handler, and return when it has ended or, stopped, was left behind."""
        attempt = CalledItem(work_item, started_at=utc_now(), allowed_seconds=work_item.timeout_seconds)
        call = self._calls.call(self._handler, attempt)
        execution = asyncio.create_task(ending_of(call, attempt, give_up=self._handler.give_up))
        stopping = [
            asyncio.create_task(self._stop_when_cancelled(attempt)),
            stop_requested := asyncio.create_task(attempt.stop_requested.wait()),
            time_over := asyncio.create_task(attempt.is_time_over.wait()),
        ]
        try:
            await asyncio.wait({execution, stop_requested}, return_when=asyncio.FIRST_COMPLETED)
            if not execution.done():
                # Once only: a second cancellation would break into the handler's cleaning up.
                execution.cancel()
                # One that a client has cancelled may go on until its time is over.
                await asyncio.wait({execution, time_over}, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait({execution}, timeout=CANCEL_SECONDS)
            if execution.done():
                return execution.result()
            return timed_out(attempt) if attempt.stop_reason is StopReason.TIMED_OUT else Stopped()
        finally:
            attempt.is_ended = True
            for watching in stopping:
                watching.cancel()
            if not (execution.done() or attempt.is_time_over.is_set()):
                # The test itself is stopped.
                execution.cancel()
                await asyncio.wait({execution}, timeout=CANCEL_SECONDS)

    async def _stop_when_cancelled(self, attempt: CalledItem) -> None:
        await self._cancel.wait()
        attempt.stop(StopReason.CANCELLED)

    def _tell(self, attempt: CalledItem, report_type: type[HandlerReport], /, **content: Any) -> None:
        if not attempt.is_ended:
            fence = attempt.work_item.model_dump(include={"task_id", "attempt", "dispatch"})
            self.reports.append(report_type(**fence, delivery=1, **content))


def _time_out(attempt: CalledItem) -> None:
    attempt.is_time_over.set()
    attempt.stop(StopReason.TIMED_OUT)
