"""The processors that there are, as they said themselves."""

from datetime import datetime

import asyncpg

from taskmill.contracts.reports import Hello
from taskmill.task_store.adapters import relay_statements
from taskmill.task_store.adapters.database import CONNECT_TIMEOUT_SECONDS, translated_errors
from taskmill.task_store.domain.waiting import Service


class ProcessorRows:
    """The table `processors`. Every method raises `DatabaseUnavailableError` when PostgreSQL is away.

    Args:
        pool: Connections.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def note(self, processor_id: str, hello: Hello, seen_at: datetime) -> None:
        """Write down what a processor says of itself, instead of what it said before."""
        await self._fetch(
            relay_statements.NOTE_PROCESSOR,
            processor_id,
            hello.queues,
            hello.kinds,
            hello.slots,
            hello.software_version,
            seen_at,
        )

    async def services(self, seen_since: datetime) -> list[Service]:
        """What the processors do that said hello since an instant."""
        rows = await self._fetch(relay_statements.PROCESSORS_SEEN_SINCE, seen_since)
        return [Service(frozenset(row["queues"]), frozenset(row["kinds"])) for row in rows]

    async def _fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        async with translated_errors(), self._pool.acquire(timeout=CONNECT_TIMEOUT_SECONDS) as connection:
            return await connection.fetch(statement, *arguments)
