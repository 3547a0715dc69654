"""The processors that there are, as they said themselves."""

from datetime import datetime

import asyncpg

from taskmill.contracts.reports import Hello
from taskmill.task_store.adapters import relay_statements
from taskmill.task_store.adapters.database import CONNECT_TIMEOUT_SECONDS, translated_errors
from taskmill.task_store.domain.waiting import PROCESSOR_LIFE, ServedWork


class ProcessorRows:
    """The table `processors`. Every method raises `DatabaseUnavailableError` when PostgreSQL is away.

    Args:
        pool: Connections.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def note(self, processor_id: str, hello: Hello, seen_at: datetime) -> None:
        """Write down what a processor says of itself, instead of what it said before."""
        async with translated_errors(), self._pool.acquire(timeout=CONNECT_TIMEOUT_SECONDS) as connection:
            await connection.execute(
                relay_statements.NOTE_PROCESSOR,
                processor_id,
                hello.queues,
                hello.kinds,
                hello.slots,
                hello.software_version,
                seen_at,
            )

    async def services(self, now: datetime) -> list[ServedWork]:
        """What the living processors do."""
        async with translated_errors(), self._pool.acquire(timeout=CONNECT_TIMEOUT_SECONDS) as connection:
            return await living_services(connection, now)


async def living_services(
    connection: "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", now: datetime
) -> list[ServedWork]:
    """What those processors do that said hello within `PROCESSOR_LIFE`."""
    rows = await connection.fetch(relay_statements.PROCESSORS_SEEN_SINCE, now - PROCESSOR_LIFE)
    return [ServedWork(frozenset(row["queues"]), frozenset(row["kinds"])) for row in rows]
