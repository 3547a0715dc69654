"""Removes what was kept long enough: keys, operations, replays, groups, fires, turns, queues, processors."""

from datetime import timedelta

import structlog

from taskmill.runtime.clock import Clock
from taskmill.runtime.leadership import Leadership
from taskmill.task_store.actors.leader_duty import LeaderDuty
from taskmill.task_store.adapters.expired_rows import ExpiredRows
from taskmill.task_store.domain.api_keys import KEPT_AFTER_END

_log = structlog.get_logger(__name__)

MAX_ROWS_AT_ONCE = 1_000
LOOK_INTERVAL_SECONDS = 60
NEXT_BATCH_SECONDS = 0.1
"""The pause while there are more, so that removing them does not get in the way of anything."""

PROCESSORS_KEPT_FOR = timedelta(days=1)


class Expiry(LeaderDuty):
    """Looks every minute.

    Args:
        rows: Where they are.
        leadership: Says whether this store leads.
        kept_for: How long a key is kept, and a bulk operation or a replay after its end.
        fires_kept_for: How long it is kept what became of a time of a schedule.
        queues_kept_for: How long a queue is kept in which nothing is.
        groups_kept_for: How long a group is kept after it was settled.
        now: The clock.
    """

    name = "expiry"

    def __init__(
        self,
        rows: ExpiredRows,
        leadership: Leadership,
        *,
        kept_for: timedelta,
        fires_kept_for: timedelta,
        queues_kept_for: timedelta,
        groups_kept_for: timedelta,
        now: Clock,
    ) -> None:
        super().__init__(leadership, interval_seconds=LOOK_INTERVAL_SECONDS)
        self._rows = rows
        self._kept_for = kept_for
        self._fires_kept_for = fires_kept_for
        self._queues_kept_for = queues_kept_for
        self._groups_kept_for = groups_kept_for
        self._now = now

    async def work(self) -> float | None:
        """Remove what has expired, some of it at a time."""
        before = self._now() - self._kept_for
        deleted = await self._rows.delete_keys(before, MAX_ROWS_AT_ONCE)
        deleted += await self._rows.delete_bulk_operations(before, MAX_ROWS_AT_ONCE)
        deleted += await self._rows.delete_replays(before, MAX_ROWS_AT_ONCE)
        deleted += await self._rows.delete_schedule_fires(self._now() - self._fires_kept_for, MAX_ROWS_AT_ONCE)
        deleted += await self._rows.release_unique_keys(self._now(), MAX_ROWS_AT_ONCE)
        deleted += await self._rows.delete_groups(self._now() - self._groups_kept_for, MAX_ROWS_AT_ONCE)
        await self._rows.delete_processors(self._now() - PROCESSORS_KEPT_FOR)
        await self._rows.delete_api_keys(self._now() - KEPT_AFTER_END)
        # Their consumers go when whoever leads compares consumers with queues the next time.
        forgotten = await self._rows.forget_queues(self._now() - self._queues_kept_for, self._now())
        if forgotten:
            _log.info("queues.forgotten", queues=forgotten)
        deleted += await self._rows.delete_turn_starts(self._now(), MAX_ROWS_AT_ONCE)
        return NEXT_BATCH_SECONDS if deleted >= MAX_ROWS_AT_ONCE else None
