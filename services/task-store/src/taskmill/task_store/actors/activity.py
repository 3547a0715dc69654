"""Writes down how much was done, for people who look at the last hour."""

from collections.abc import Callable
from datetime import timedelta

import structlog

from taskmill.contracts.errors import UnavailableError
from taskmill.runtime.actor import Actor, is_set_within
from taskmill.runtime.clock import Clock
from taskmill.task_store.adapters.activity_rows import ActivityRows
from taskmill.task_store.domain.activity import BOUNDS, KEPT_MINUTES, Deeds, Tally

_log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 10
_NOTHING = Deeds(0, 0, 0, 0, [0] * (len(BOUNDS) + 1), [0] * (len(BOUNDS) + 1))


class Activity(Actor):
    """Every 10 s, in every store, if something was done there or waits. What a store did last before it dies is lost.

    Args:
        rows: Where it is written down.
        tally: What this store did.
        now: The clock.
    """

    name = "activity"

    def __init__(self, rows: ActivityRows, tally: Tally, *, now: Clock) -> None:
        self._rows = rows
        self._tally = tally
        self._now = now

    async def run(self, started: Callable[[], None]) -> None:
        """Write until stopped, and then once more."""
        started()
        while not self._stop_requested.is_set():
            await is_set_within(self._stop_requested, INTERVAL_SECONDS)
            try:
                await self._note()
            except UnavailableError as error:
                _log.debug("activity.postponed", code=error.code)

    async def _note(self) -> None:
        oldest = await self._rows.oldest_queued_seconds()
        deeds = self._tally.take()
        if deeds is None and oldest is None:
            return
        await self._rows.note(self._now(), deeds or _NOTHING, oldest)
        await self._rows.forget(self._now(), timedelta(minutes=KEPT_MINUTES))
