"""Counts again what is queued and in progress, for a store of an earlier release did not count it."""

import structlog

from taskmill.runtime.leadership import Leadership
from taskmill.task_store.actors.leader_duty import LeaderDuty
from taskmill.task_store.adapters.queue_rows import QueueRows

_log = structlog.get_logger(__name__)

RECOUNT_INTERVAL_SECONDS = 3_600


class QueueCounts(LeaderDuty):
    """Recounts when this store comes to lead, and every hour while it does.

    Args:
        queues: Where they are.
        leadership: Says whether this store leads.
    """

    name = "queue-counts"

    def __init__(self, queues: QueueRows, leadership: Leadership) -> None:
        super().__init__(leadership, interval_seconds=RECOUNT_INTERVAL_SECONDS)
        self._queues = queues

    async def work(self) -> None:
        """Recount."""
        mended = await self._queues.recount()
        if mended:
            _log.info("queue_counts.mended", queues=mended)
