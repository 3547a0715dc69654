"""The processors that there are, as they said themselves."""

from datetime import datetime

import asyncpg
import orjson

from taskmill.contracts.kinds import KnownKind
from taskmill.contracts.reports import Hello
from taskmill.task_store.adapters import statements
from taskmill.task_store.adapters.database import SharedConnections
from taskmill.task_store.adapters.rows import kind_defaults
from taskmill.task_store.domain.kinds import ServedKinds, known_kinds
from taskmill.task_store.domain.waiting import PROCESSOR_LIFE, ServedWork

# Not every hello has the schemas: those that it refers to stay, and large values are not written again.
_NOTE = """
INSERT INTO processors (id, queues, kinds, slots, software_version, seen_at, payload_schemas, payload_schemas_digest)
VALUES ($1, $2, $3, $4, $5, $6, $7::json, $8)
ON CONFLICT (id) DO UPDATE SET queues = excluded.queues, kinds = excluded.kinds, slots = excluded.slots,
    software_version = excluded.software_version, seen_at = excluded.seen_at,
    payload_schemas_digest = excluded.payload_schemas_digest,
    payload_schemas = CASE
        WHEN processors.payload_schemas_digest = excluded.payload_schemas_digest
            THEN coalesce(processors.payload_schemas, excluded.payload_schemas)
        ELSE excluded.payload_schemas
    END
"""

_SCHEMAS_SINCE = "SELECT kinds, payload_schemas FROM processors WHERE seen_at >= $1"
_SEEN_SINCE = "SELECT queues, kinds FROM processors WHERE seen_at >= $1"


class ProcessorRows:
    """The table `processors`. Every method raises `DatabaseUnavailableError` when PostgreSQL is away."""

    def __init__(self, connections: SharedConnections) -> None:
        self._connections = connections

    async def note(self, processor_id: str, hello: Hello, seen_at: datetime) -> None:
        """Write down what a processor says of itself, instead of what it said before."""
        told = (hello.queues, hello.kinds, hello.slots, hello.software_version)
        schemas = None if hello.payload_schemas is None else orjson.dumps(hello.payload_schemas).decode()
        await self._connections.fetch(_NOTE, processor_id, *told, seen_at, schemas, hello.payload_schemas_digest)

    async def services(self, now: datetime) -> list[ServedWork]:
        """What the living processors do."""
        return await living_services(self._connections, now)

    async def kinds(self, now: datetime) -> list[KnownKind]:
        """See `Processors`."""
        declared = await self._connections.fetch(statements.KINDS)
        living = await self._connections.fetch(_SCHEMAS_SINCE, now - PROCESSOR_LIFE)
        return known_kinds(
            {name: kind_defaults(*defaults) for name, *defaults in declared},
            [ServedKinds(row["kinds"], orjson.loads(row["payload_schemas"] or "{}")) for row in living],
        )


async def living_services(
    connection: "SharedConnections | asyncpg.Connection[asyncpg.Record]", now: datetime
) -> list[ServedWork]:
    """What those processors do that said hello within `PROCESSOR_LIFE`."""
    rows = await connection.fetch(_SEEN_SINCE, now - PROCESSOR_LIFE)
    return [ServedWork(frozenset(row["queues"]), frozenset(row["kinds"])) for row in rows]
