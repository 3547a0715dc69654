"""Remembers how many runs had ended in each queue, so that it can be told how many end a second."""

from collections.abc import Callable

import structlog

from taskmill.contracts.errors import UnavailableError
from taskmill.runtime.actor import Actor, is_set_within
from taskmill.runtime.clock import Clock
from taskmill.task_store.adapters.queue_rows import QueueRows
from taskmill.task_store.domain.fleet import FinishedRates

_log = structlog.get_logger(__name__)

SAMPLE_INTERVAL_SECONDS = 10


class QueueRates(Actor):
    """Reads the counters of all queues every 10 s: a row for each queue, nothing of any task. Every store does.

    Args:
        queues: Where they are.
        rates: What remembers them.
        now: The clock.
    """

    name = "queue-rates"

    def __init__(self, queues: QueueRows, rates: FinishedRates, *, now: Clock) -> None:
        self._queues = queues
        self._rates = rates
        self._now = now

    async def run(self, started: Callable[[], None]) -> None:
        """Read until stopped."""
        started()
        while not self._stop_requested.is_set():
            try:
                finished = await self._queues.finished()
                self._rates.note(self._now(), finished)
            except UnavailableError as error:
                _log.debug("queue_rates.postponed", code=error.code)
            await is_set_within(self._stop_requested, SAMPLE_INTERVAL_SECONDS)
