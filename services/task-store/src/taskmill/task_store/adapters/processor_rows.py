"""The processors that there are, as they said themselves."""

from datetime import datetime

import asyncpg

from taskmill.contracts.reports import Hello
from taskmill.task_store.adapters.database import SharedConnections
from taskmill.task_store.domain.waiting import PROCESSOR_LIFE, ServedWork

_NOTE = """
INSERT INTO processors (id, queues, kinds, slots, software_version, seen_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO UPDATE SET queues = excluded.queues, kinds = excluded.kinds, slots = excluded.slots,
    software_version = excluded.software_version, seen_at = excluded.seen_at
"""

_SEEN_SINCE = "SELECT queues, kinds FROM processors WHERE seen_at >= $1"


class ProcessorRows:
    """The table `processors`. Every method raises `DatabaseUnavailableError` when PostgreSQL is away."""

    def __init__(self, connections: SharedConnections) -> None:
        self._connections = connections

    async def note(self, processor_id: str, hello: Hello, seen_at: datetime) -> None:
        """Write down what a processor says of itself, instead of what it said before."""
        told = (hello.queues, hello.kinds, hello.slots, hello.software_version)
        await self._connections.fetch(_NOTE, processor_id, *told, seen_at)

    async def services(self, now: datetime) -> list[ServedWork]:
        """What the living processors do."""
        return await living_services(self._connections, now)


async def living_services(
    connection: "SharedConnections | asyncpg.Connection[asyncpg.Record]", now: datetime
) -> list[ServedWork]:
    """What those processors do that said hello within `PROCESSOR_LIFE`."""
    rows = await connection.fetch(_SEEN_SINCE, now - PROCESSOR_LIFE)
    return [ServedWork(frozenset(row["queues"]), frozenset(row["kinds"])) for row in rows]
