"""What the writers of a store remember together, while one of them reads it anew."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import asyncpg

from taskmill.contracts.tasks import KindDefaults
from taskmill.task_store.adapters import statements
from taskmill.task_store.adapters.writer_memory import WriterMemory
from taskmill.task_store.domain.waiting import ServedWork

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Reading:
    """A connection, of which each answer is held back until `go_on` says so."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.answers: asyncio.Queue[str] = asyncio.Queue()
        self.go_on = asyncio.Semaphore(0)
        self._connection = connection

    async def fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """As that of the connection."""
        rows = await self._connection.fetch(statement, *arguments)
        self.answers.put_nowait(statement)
        await self.go_on.acquire()
        return rows


def test_what_is_read_does_not_replace_what_was_learnt_meanwhile(database_url: str) -> None:
    """One writer's kind, queue and processor outlast what another writer had begun to read before their commit."""

    async def learn_during_refresh() -> tuple[WriterMemory, int]:
        connection = await asyncpg.connect(database_url)
        try:
            memory, reading = WriterMemory(), Reading(connection)
            refresh = asyncio.create_task(memory.refresh(reading, NOW))  # type: ignore[arg-type]
            await reading.answers.get()
            await connection.execute("INSERT INTO queues (name, created_at) VALUES ('mail', now())")
            declared = KindDefaults(max_attempts=7)
            await connection.execute("INSERT INTO kinds (name, max_attempts) VALUES ('letter', 7)")
            memory.note(["mail"], {"letter": declared}, {"p1": ServedWork(frozenset(), frozenset(), "p1")})
            reads = 1
            while not refresh.done():
                reading.go_on.release()
                getter = asyncio.create_task(reading.answers.get())
                await asyncio.wait([refresh, getter], return_when=asyncio.FIRST_COMPLETED)
                reads += getter.done() and getter.result() == statements.KINDS
                getter.cancel()
            return memory, reads
        finally:
            await connection.close()

    memory, reads = asyncio.run(learn_during_refresh())
    assert reads == 2
    assert memory.knows_queue("mail")
    assert memory.kinds["letter"].max_attempts == 7


def test_one_processor_does_not_hide_another() -> None:
    """What two writers hear of at the same moment is added up, and who drains is forgotten."""
    one, other = (ServedWork(frozenset({"default"}), frozenset({"echo"}), name) for name in ("p1", "p2"))
    memory = WriterMemory()
    memory.note((), {}, {"p1": one})
    memory.note((), {}, {"p2": other})
    assert memory.services == [one, other]
    memory.note((), {}, {"p1": None})
    assert memory.services == [other]
