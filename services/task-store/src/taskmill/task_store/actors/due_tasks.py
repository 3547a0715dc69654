"""Queues scheduled tasks when their time has come."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from taskmill.contracts.errors import UnavailableError
from taskmill.runtime.actor import Actor, is_set_within
from taskmill.runtime.clock import Clock
from taskmill.task_store.domain.operations import MakeDue
from taskmill.task_store.ports import Reads, Writes

_log = structlog.get_logger(__name__)

MAX_AT_ONCE = 1_000

LOOK_INTERVAL = timedelta(seconds=1)
"""How often to look for what another store scheduled, and then did not live to queue."""


class Alarm:
    """Rings when the next task is due; whoever schedules a task sets it.

    Args:
        now: The clock.
    """

    def __init__(self, now: Clock) -> None:
        self._now = now
        self._rings_at: datetime | None = None
        self._changed = asyncio.Event()

    def set(self, at: datetime) -> None:
        """Ring at a time, or before."""
        if self._rings_at is None or at < self._rings_at:
            self._rings_at = at
            self._changed.set()

    async def wait(self) -> None:
        """Return at the time that was set, which is then forgotten; at once if it has passed."""
        while True:
            self._changed.clear()
            seconds = None if self._rings_at is None else (self._rings_at - self._now()).total_seconds()
            if seconds is not None and seconds <= 0:
                self._rings_at = None
                return
            await is_set_within(self._changed, seconds)


class DueTasks(Actor):
    """Sleeps until the next task is due. Every store does: whoever comes second finds nothing left to change.

    Args:
        reads: Finds the tasks.
        writes: Where the change is asked for.
        alarm: Set by whoever schedules a task, so that none is overslept.
        now: The clock.
    """

    name = "due-tasks"

    def __init__(self, reads: Reads, writes: Writes, *, alarm: Alarm, now: Clock) -> None:
        self._reads = reads
        self._writes = writes
        self._alarm = alarm
        self._now = now

    def stop(self) -> None:
        """Begin the drain: a change that is asked for is awaited."""
        super().stop()
        self._alarm.set(self._now())

    async def run(self, started: Callable[[], None]) -> None:
        """Queue what is due until stopped."""
        started()
        self._alarm.set(self._now())
        while True:
            await self._alarm.wait()
            if self._stop_requested.is_set():
                return
            try:
                self._alarm.set(await self._queue_due())
            except UnavailableError as error:
                _log.warning("due_tasks.postponed", code=error.code)
                self._alarm.set(self._now() + LOOK_INTERVAL)

    async def _queue_due(self) -> datetime:
        """Queue what is due, and return when to look again."""
        scheduled = await self._reads.next_due(MAX_AT_ONCE)
        now = self._now()
        due = tuple(task.task_id for task in scheduled if task.run_at <= now)
        if due:
            await self._writes.ask(MakeDue(due))
            return now
        return min([now + LOOK_INTERVAL, *(task.run_at for task in scheduled[:1])])
