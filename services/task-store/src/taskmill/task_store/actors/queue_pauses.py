"""Keeps the pauses of queues true on NATS."""

import math
import time

from taskmill.runtime.leadership import Leadership
from taskmill.task_store.actors.leader_duty import LeaderDuty
from taskmill.task_store.adapters.queue_rows import QueueRows
from taskmill.task_store.adapters.work_pauses import WorkPauses

LOOK_INTERVAL_SECONDS = 1

AGREE_INTERVAL_SECONDS = 5
"""How often all consumers are looked at though nothing seems to have changed."""


class QueuePauses(LeaderDuty):
    """Looks every second which queues are paused, and repeats to processors what they may not have heard.

    The store that is asked for a pause sees to it before it answers, and whoever makes a consumer makes it paused. This
    is for what came between: a store that died after the commit, two requests at the same moment, somebody else's hand.

    Args:
        queues: Says which are paused.
        pauses: Pauses and resumes.
        leadership: Says whether this store leads.
    """

    name = "queue-pauses"

    def __init__(self, queues: QueueRows, pauses: WorkPauses, leadership: Leadership) -> None:
        super().__init__(leadership, interval_seconds=LOOK_INTERVAL_SECONDS)
        self._queues = queues
        self._pauses = pauses
        self._agreed: frozenset[str] | None = None
        self._agreed_at = -math.inf

    async def work(self) -> None:
        """Tell processors, and look at the consumers when something has changed or it is time."""
        paused = await self._queues.paused()
        self._pauses.tell(paused)
        if paused != self._agreed or time.monotonic() >= self._agreed_at + AGREE_INTERVAL_SECONDS:
            self._agreed = None
            await self._pauses.agree()
            self._agreed, self._agreed_at = paused, time.monotonic()
