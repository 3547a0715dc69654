"""Makes the parts of the log for the months to come, and drops those that were kept for long enough."""

from datetime import timedelta

import structlog

from taskmill.runtime.clock import Clock
from taskmill.runtime.leadership import Leadership
from taskmill.task_store.actors.leader_duty import LeaderDuty
from taskmill.task_store.adapters.log_partitions import LogPartitions
from taskmill.task_store.domain.months import Month, month_of

_log = structlog.get_logger(__name__)

LOOK_INTERVAL_SECONDS = 60
NEXT_STRAYS_SECONDS = 0.1
"""The pause while there are more strays to copy, so that it does not get in the way of anything."""

MONTHS_AHEAD = 2
"""So many months beyond this one have a part of the log: a store that leads may fail at it for long."""


class LogMonths(LeaderDuty):
    """Looks every minute.

    Events of a month that has no part are kept in a part for strays, until theirs is made. A part is dropped when all
    of its events have been kept for long enough, have been published, and have been made deliveries to webhooks.

    Args:
        partitions: Where the parts are.
        leadership: Says whether this store leads.
        kept_for: How long events are kept; None: for ever.
        now: The clock.
    """

    name = "log-months"

    def __init__(
        self, partitions: LogPartitions, leadership: Leadership, *, kept_for: timedelta | None, now: Clock
    ) -> None:
        super().__init__(leadership, interval_seconds=LOOK_INTERVAL_SECONDS)
        self._partitions = partitions
        self._kept_for = kept_for
        self._now = now

    async def work(self) -> float | None:
        """Make what is missing, once its strays are copied, then drop what is due."""
        if await self._partitions.copy_strays():
            return NEXT_STRAYS_SECONDS
        there = await self._partitions.months()
        if missing := await self._missing(there):
            for month in await self._partitions.make(missing):
                _log.info("log.month_made", month=month.start.date().isoformat())
        if self._kept_for is not None:
            await self._drop([month for month in there if month.end <= self._now() - self._kept_for])
        return None

    async def _missing(self, there: list[Month]) -> list[Month]:
        months = [month_of(self._now())]
        for _ in range(MONTHS_AHEAD):
            months.append(months[-1].following)
        # By a clock that is wrong they may lie before the first part, which reaches back as far as there are events.
        wanted = {month for month in months if not there or month > there[0]}
        return sorted(wanted.union(await self._partitions.stray_months()).difference(there))

    async def _drop(self, due: list[Month]) -> None:
        for month in due:
            position = await self._partitions.drop(month)
            if position is None:
                _log.warning("log.month_not_published", month=month.start.date().isoformat())
                return
            _log.info("log.month_removed", month=month.start.date().isoformat(), position=position)
