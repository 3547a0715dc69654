"""What the writers and readers of a store remember together."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest_asyncio
from asyncpg import Record

from taskmill.contracts.tasks import KindDefaults
from taskmill.runtime.clock import utc_now
from taskmill.task_store.adapters import statements
from taskmill.task_store.adapters.database import DedicatedConnection, SharedConnections, shared_connections
from taskmill.task_store.adapters.queue_rows import QueueRows
from taskmill.task_store.adapters.store_memory import StoreMemory
from taskmill.task_store.domain.waiting import ServedWork
from tests.support.eventually import eventually


class Watched(SharedConnections):
    """Counts how often the queues are read, and does something before that is told."""

    def __init__(self, connections: SharedConnections) -> None:
        self.reads = 0
        self.next_read: Callable[[], Awaitable[None]] | None = None
        self._connections = connections

    async def fetch(self, statement: str, *arguments: object) -> list[Record]:
        """See `SharedConnections`."""
        rows = await self._connections.fetch(statement, *arguments)
        if statement == statements.QUEUES:
            self.reads += 1
            then, self.next_read = self.next_read, None
            if then is not None:
                await then()
        return rows


@pytest_asyncio.fixture
async def connections(database_url: str) -> AsyncIterator[Watched]:
    connections = await shared_connections(database_url, "test", max_connections=2)
    yield Watched(connections)
    await connections.close()


async def test_what_is_known_is_not_read_each_time_and_is_found_out_before_long(connections: Watched) -> None:
    """A pause by another store is known without any hint; meanwhile it is not read for each task."""
    queues, memory = QueueRows(connections, max_queues=1), StoreMemory(connections, utc_now)
    assert (await memory.known()).paused == frozenset()
    asked = 1
    await queues.pause("default", utc_now())

    async def is_paused() -> bool:
        nonlocal asked
        asked += 1
        return "default" in (await memory.known()).paused

    await eventually(is_paused)
    assert connections.reads < asked / 2


async def test_what_this_store_changes_is_known_at_once(connections: Watched) -> None:
    """What is doubted is read before it is told, also when it was being read while it changed."""
    queues, memory = QueueRows(connections, max_queues=1), StoreMemory(connections, utc_now)
    await memory.known()
    await queues.pause("default", utc_now())
    memory.doubt()
    assert (await memory.known()).paused == {"default"}

    async def doubt() -> None:
        memory.doubt()

    connections.next_read = doubt
    memory.doubt()
    reads = connections.reads
    await memory.known()
    assert connections.reads == reads + 2


async def test_what_is_read_does_not_replace_what_was_learnt_meanwhile(connections: Watched) -> None:
    """One writer's kind, queue and processor outlast what another one had begun to read before their commit."""
    memory, declared = StoreMemory(connections, utc_now), KindDefaults(max_attempts=7)

    async def commit_and_learn() -> None:
        await connections.fetch("INSERT INTO queues (name, created_at) VALUES ('mail', now())")
        await connections.fetch("INSERT INTO kinds (name, max_attempts) VALUES ('letter', 7)")
        await connections.fetch("INSERT INTO processors SELECT 'p1', '{}', '{}', 1, '1', now()")
        memory.note(["mail"], {"letter": declared}, {"p1": ServedWork(frozenset(), frozenset(), "p1")})

    connections.next_read = commit_and_learn
    await memory.refresh()
    assert memory.knows_queue("mail")
    assert memory.kinds == {"letter": declared}
    assert [service.processor_id for service in memory.services] == ["p1"]


async def test_what_is_noted_all_the_time_is_read_once(connections: Watched) -> None:
    """However many processors say hello while it is read: who waits for it would else wait for ever."""
    memory = StoreMemory(connections, utc_now)

    async def say_hello() -> None:
        memory.note_service(ServedWork(frozenset(), frozenset(), f"p{connections.reads}"))
        connections.next_read = say_hello if connections.reads < 3 else None

    connections.next_read = say_hello
    await memory.refresh()
    assert connections.reads == 1
    assert [service.processor_id for service in memory.services] == ["p1"]


async def test_queues_that_a_writer_has_read_are_not_replaced_by_older_ones(
    connections: Watched, database_url: str
) -> None:
    """What it decides under the lock holds, also when all was being read meanwhile."""
    memory = StoreMemory(connections, utc_now)
    writer = DedicatedConnection(database_url, "test writer")

    async def read_under_lock() -> None:
        await connections.fetch("INSERT INTO queues (name, created_at) VALUES ('mail', now())")
        async with writer.use() as connection:
            await memory.read_queues(connection)

    connections.next_read = read_under_lock
    await memory.refresh()
    await writer.close()
    assert memory.knows_queue("mail")


async def test_who_comes_together_reads_once(connections: Watched) -> None:
    """Writers and readers wait for the same answer."""
    memory = StoreMemory(connections, utc_now)
    await asyncio.gather(*(memory.known() for _ in range(20)))
    assert connections.reads == 1


async def test_one_processor_does_not_hide_another(connections: Watched) -> None:
    """What two writers hear of at the same moment is added up, and who drains is forgotten."""
    one, other = (ServedWork(frozenset({"default"}), frozenset({"echo"}), name) for name in ("p1", "p2"))
    memory = StoreMemory(connections, utc_now)
    memory.note((), {}, {"p1": one})
    memory.note((), {}, {"p2": other})
    assert memory.services == [one, other]
    memory.note((), {}, {"p1": None})
    assert memory.services == [other]
