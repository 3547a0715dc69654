"""What reading requests remember of processors and pauses, so that they need not ask for them each time."""

import asyncio
import time

from taskmill.runtime.clock import Clock
from taskmill.task_store.adapters.processor_rows import ProcessorRows
from taskmill.task_store.adapters.queue_rows import QueueRows
from taskmill.task_store.domain.waiting import Service

BELIEVED_SECONDS = 1
"""How long a store goes on with what it knew when another store, or the time, has changed it."""


class ServiceMemory:
    """The `ServiceReads` of PostgreSQL: asked for a task that is queued, it would be read more often than the task."""

    def __init__(self, processors: ProcessorRows, queues: QueueRows, now: Clock) -> None:
        self._processors = processors
        self._queues = queues
        self._now = now
        self._known = Service()
        self._believed_until = 0.0
        self._doubts = 0

    async def known(self) -> Service:
        """See `ServiceReads`."""
        if time.monotonic() >= self._believed_until:
            doubts = self._doubts
            services, paused = await asyncio.gather(self._processors.services(self._now()), self._queues.paused())
            self._known = Service(services, paused)
            if self._doubts == doubts:
                # Otherwise it was changed while it was read.
                self._believed_until = time.monotonic() + BELIEVED_SECONDS
        return self._known

    def doubt(self) -> None:
        """See `ServiceReads`."""
        self._doubts += 1
        self._believed_until = 0.0
