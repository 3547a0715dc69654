"""Removes tasks that were kept for long enough after their end."""

import time

import structlog

from taskmill.runtime.clock import Clock
from taskmill.runtime.leadership import Leadership
from taskmill.task_store.actors.leader_duty import LeaderDuty
from taskmill.task_store.adapters.ended_tasks import EndedTaskRows
from taskmill.task_store.adapters.stalled_tasks import START
from taskmill.task_store.domain.operations import RemoveExpired
from taskmill.task_store.domain.retention import KeptFor
from taskmill.task_store.ports import Writes

_log = structlog.get_logger(__name__)

MAX_TASKS_AT_ONCE = 100
"""So many are removed in one batch, for which other requests wait: some 5 ms."""

LOOK_INTERVAL_SECONDS = 60

PAUSES = 4
"""After each batch a pause, so many times as long as the batch took: whatever the machine, a fifth of the writing."""


class Retention(LeaderDuty):
    """Goes through the tasks of each status that is not kept for ever, once a minute.

    A task is removed as one is that a client deletes, through the mailbox of writes: its event is committed with
    its removal, and whether it is still as it was found is decided there. Nothing needs to be remembered: who leads
    next begins from the start. How many were found is logged, once for each status.

    Args:
        rows: Finds the tasks.
        writes: Where their removal is asked for.
        leadership: Says whether this store leads.
        kept_for: How long tasks are kept after their end.
        now: The clock.
    """

    name = "retention"

    def __init__(
        self, rows: EndedTaskRows, writes: Writes, leadership: Leadership, *, kept_for: KeptFor, now: Clock
    ) -> None:
        super().__init__(leadership, interval_seconds=LOOK_INTERVAL_SECONDS)
        self._rows = rows
        self._writes = writes
        self._kept_for = kept_for
        self._now = now
        self._statuses = list(kept_for)
        self._after = START
        self._removed = 0

    async def work(self) -> float | None:
        """Look at the next tasks, and remove those of them that are due; go on until all were looked at."""
        if not self._statuses:
            self._statuses = list(self._kept_for)
            return None
        began_at = time.monotonic()
        status = self._statuses[0]
        found = await self._rows.look(status, self._now() - self._kept_for[status], self._after, MAX_TASKS_AT_ONCE)
        if found.expired:
            await self._writes.ask(RemoveExpired(tuple(found.expired), self._kept_for))
            self._removed += len(found.expired)
        if found.behind is None:
            self._statuses.pop(0)
            if self._removed:
                _log.info("retention.removed", status=status, tasks=self._removed)
                self._removed = 0
        self._after = found.behind or START
        return PAUSES * (time.monotonic() - began_at)
