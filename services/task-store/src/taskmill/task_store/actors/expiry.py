"""Removes idempotency keys and completed bulk operations when they have been kept long enough, and lost processors."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog

from taskmill.contracts.errors import UnavailableError
from taskmill.runtime.actor import Actor, is_set_within
from taskmill.runtime.clock import Clock
from taskmill.runtime.leadership import Leadership
from taskmill.task_store.adapters.expired_rows import ExpiredRows

_log = structlog.get_logger(__name__)

MAX_ROWS_AT_ONCE = 1_000
LOOK_INTERVAL_SECONDS = 60
NEXT_BATCH_SECONDS = 0.1
"""The pause while there are more, so that removing them does not get in the way of anything."""

PROCESSORS_KEPT_FOR = timedelta(days=1)


class Expiry(Actor):
    """Looks every minute, in the store that leads the relay.

    Args:
        rows: Where they are.
        leadership: Says whether this store leads.
        kept_for: How long a key is kept, and a bulk operation after its end.
        now: The clock.
    """

    name = "expiry"

    def __init__(self, rows: ExpiredRows, leadership: Leadership, *, kept_for: timedelta, now: Clock) -> None:
        self._rows = rows
        self._leadership = leadership
        self._kept_for = kept_for
        self._now = now
        self._stop_requested = asyncio.Event()

    def stop(self) -> None:
        """Begin the drain: the batch in hand is finished."""
        self._stop_requested.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Remove what has expired until stopped."""
        started()
        await self._leadership.wait_until_leader_or(self._stop_requested)
        pause_seconds = 0.0
        while not await is_set_within(self._stop_requested, pause_seconds):
            pause_seconds = LOOK_INTERVAL_SECONDS
            if not self._leadership.is_leader:
                continue
            try:
                before = self._now() - self._kept_for
                deleted = await self._rows.delete_keys(before, MAX_ROWS_AT_ONCE)
                deleted += await self._rows.delete_bulk_operations(before, MAX_ROWS_AT_ONCE)
                await self._rows.delete_processors(self._now() - PROCESSORS_KEPT_FOR)
            except UnavailableError as error:
                _log.warning("expiry.postponed", code=error.code)
                continue
            if deleted >= MAX_ROWS_AT_ONCE:
                pause_seconds = NEXT_BATCH_SECONDS
