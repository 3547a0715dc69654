"""Queues scheduled tasks when their time has come."""

import asyncio
from collections.abc import Callable

import structlog

from taskmill.contracts.errors import UnavailableError
from taskmill.runtime.actor import Actor, stopped_within
from taskmill.runtime.clock import Clock
from taskmill.task_store.domain.batch import MakeDue
from taskmill.task_store.ports import Reads, Writes

_log = structlog.get_logger(__name__)

MAX_AT_ONCE = 500

LOOK_INTERVAL_SECONDS = 1
"""No longer than the shortest time for which a task is scheduled, so that each is seen before it is due."""


class DueTasks(Actor):
    """Sleeps until the next task is due. Every store does: whoever comes second finds nothing left to change.

    Args:
        reads: Finds the tasks.
        writes: Where the change is asked for.
        now: The clock.
    """

    name = "due-tasks"

    def __init__(self, reads: Reads, writes: Writes, *, now: Clock) -> None:
        self._reads = reads
        self._writes = writes
        self._now = now
        self._stop_requested = asyncio.Event()

    def stop(self) -> None:
        """Begin the drain: a change that is asked for is awaited."""
        self._stop_requested.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Queue what is due until stopped."""
        started()
        pause_seconds = 0.0
        while not await stopped_within(self._stop_requested, pause_seconds):
            try:
                pause_seconds = await self._queue_due()
            except UnavailableError as error:
                _log.warning("due_tasks.postponed", code=error.code)
                pause_seconds = LOOK_INTERVAL_SECONDS

    async def _queue_due(self) -> float:
        """Queue what is due, and return in how many seconds to look again."""
        scheduled = await self._reads.next_due(MAX_AT_ONCE)
        now = self._now()
        due = tuple(task.task_id for task in scheduled if task.run_at <= now)
        if due:
            await self._writes.ask(MakeDue(due))
            return 0
        if not scheduled:
            return LOOK_INTERVAL_SECONDS
        return min(LOOK_INTERVAL_SECONDS, (scheduled[0].run_at - now).total_seconds())
