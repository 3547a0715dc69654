from collections.abc import AsyncIterator
from datetime import datetime

import pytest_asyncio

from taskmill.runtime.clock import utc_now
from taskmill.task_store.adapters.database import SharedConnections, shared_connections
from taskmill.task_store.adapters.processor_rows import ProcessorRows
from taskmill.task_store.adapters.queue_rows import QueueRows
from taskmill.task_store.adapters.service_memory import ServiceMemory
from taskmill.task_store.domain.waiting import ServedWork
from tests.support.eventually import eventually


class CountedProcessors(ProcessorRows):
    """Counts how often what processors do is read, and may be interrupted there."""

    reads = 0

    async def services(self, now: datetime) -> list[ServedWork]:
        """See `ProcessorRows`."""
        found = await super().services(now)
        self.reads += 1
        self.on_read()
        return found

    def on_read(self) -> None:
        """What happens meanwhile."""


@pytest_asyncio.fixture
async def connections(database_url: str) -> AsyncIterator[SharedConnections]:
    connections = await shared_connections(database_url, "test", max_connections=2)
    yield connections
    await connections.close()


async def test_what_is_known_is_not_read_each_time_and_is_found_out_before_long(connections: SharedConnections) -> None:
    """A pause by another store is known without any hint; meanwhile it is not read for each task."""
    queues = QueueRows(connections, max_queues=1)
    processors = CountedProcessors(connections)
    memory = ServiceMemory(processors, queues, utc_now)
    assert (await memory.known()).paused == frozenset()
    asked = 1
    await queues.pause("default", utc_now())

    async def is_paused() -> bool:
        nonlocal asked
        asked += 1
        return "default" in (await memory.known()).paused

    await eventually(is_paused)
    assert processors.reads < asked / 2


async def test_what_this_store_changes_is_known_at_once(connections: SharedConnections) -> None:
    """What is doubted is read before it is told, also when it was being read while it changed."""
    queues = QueueRows(connections, max_queues=1)
    processors = CountedProcessors(connections)
    memory = ServiceMemory(processors, queues, utc_now)
    await memory.known()
    await queues.pause("default", utc_now())
    memory.doubt()
    processors.on_read = memory.doubt  # type: ignore[method-assign]
    assert (await memory.known()).paused == {"default"}
    await queues.resume("default")
    assert (await memory.known()).paused == frozenset()
