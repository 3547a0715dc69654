"""The processors that there are, as they said themselves."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import orjson
from pydantic import TypeAdapter

from taskmill.contracts.kinds import KnownKind
from taskmill.contracts.reports import Hello
from taskmill.contracts.tasks import KindDefaults
from taskmill.task_store.adapters import statements
from taskmill.task_store.adapters.database import SharedConnections
from taskmill.task_store.adapters.rows import kind_defaults
from taskmill.task_store.domain.fleet import ProcessorState, Servers
from taskmill.task_store.domain.kinds import ServedKinds, known_kinds
from taskmill.task_store.domain.waiting import PROCESSOR_LIFE, ServedWork

# Not every hello has the schemas: those that it refers to stay, and large values are not written again.
_NOTE = """
INSERT INTO processors (
    id, queues, kinds, slots, running, software_version, started_at, seen_at, is_draining, payload_schemas,
    payload_schemas_digest, kind_defaults
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::json, $11, $12::json)
ON CONFLICT (id) DO UPDATE SET queues = excluded.queues, kinds = excluded.kinds, slots = excluded.slots,
    running = excluded.running, software_version = excluded.software_version, started_at = excluded.started_at,
    seen_at = excluded.seen_at, is_draining = excluded.is_draining,
    payload_schemas_digest = excluded.payload_schemas_digest, kind_defaults = excluded.kind_defaults,
    payload_schemas = CASE
        WHEN processors.payload_schemas_digest = excluded.payload_schemas_digest
            THEN coalesce(processors.payload_schemas, excluded.payload_schemas)
        ELSE excluded.payload_schemas
    END
"""

_SEEN_SINCE = """
SELECT queues, kinds, id, started_at FROM processors WHERE seen_at >= $1 AND NOT is_draining
"""

_PAGE = """
SELECT id, queues, kinds, slots, running, software_version, started_at, seen_at, is_draining FROM processors
WHERE seen_at >= $1 AND id > $2 ORDER BY id LIMIT $3
"""

_SERVERS = """
SELECT queue, count(*), (array_agg(id ORDER BY id))[1:$3] FROM processors, unnest(queues) AS served (queue)
WHERE seen_at >= $1 AND NOT is_draining AND queue = ANY($2::text[]) GROUP BY queue
"""

_COUNT = "SELECT count(*) FROM processors WHERE seen_at >= $1 AND NOT is_draining"

_SCHEMAS_SINCE = """
SELECT id, started_at, kinds, kind_defaults, payload_schemas FROM processors
WHERE seen_at >= $1 AND NOT is_draining
"""


COMPARE_INTERVAL = timedelta(seconds=10)
"""How often what processors declare is compared at most: all of it has to be read for that."""

_DEFAULTS = TypeAdapter(dict[str, KindDefaults])


class ProcessorRows:
    """The table `processors`. Every method raises `DatabaseUnavailableError` when PostgreSQL is away."""

    def __init__(self, connections: SharedConnections) -> None:
        self._connections = connections
        self._differing: list[str] = []
        self._compared_at: datetime | None = None

    async def note(self, processor_id: str, hello: Hello, seen_at: datetime) -> None:
        """Write down what a processor says of itself, instead of what it said before."""
        can_do = (hello.queues, hello.kinds, hello.slots)
        stands = (hello.running, hello.software_version, hello.started_at, seen_at, hello.is_draining)
        schemas = None if hello.payload_schemas is None else orjson.dumps(hello.payload_schemas).decode()
        told = (schemas, hello.payload_schemas_digest, _DEFAULTS.dump_json(hello.kind_defaults).decode())
        await self._connections.fetch(_NOTE, processor_id, *can_do, *stands, *told)

    async def page(self, seen_since: datetime, *, behind: str, limit: int) -> list[ProcessorState]:
        """See `Processors`."""
        return [ProcessorState(*row) for row in await self._connections.fetch(_PAGE, seen_since, behind, limit)]

    async def servers(self, seen_since: datetime, queues: Sequence[str], *, limit: int) -> dict[str, Servers]:
        """See `Processors`."""
        rows = await self._connections.fetch(_SERVERS, seen_since, queues, limit)
        return {queue: Servers(count, ids) for queue, count, ids in rows}

    async def count(self, seen_since: datetime) -> int:
        """See `Processors`."""
        [row] = await self._connections.fetch(_COUNT, seen_since)
        return int(row["count"])

    async def differing_kinds(self, now: datetime, limit: int) -> list[str]:
        """See `Processors`."""
        if self._compared_at is None or now - self._compared_at >= COMPARE_INTERVAL:
            self._differing = [kind.kind for kind in await self.kinds(now) if kind.declaration_count > 1]
            self._compared_at = now
        return self._differing[:limit]

    async def kinds(self, now: datetime) -> list[KnownKind]:
        """See `Processors`."""
        declared = await self._connections.fetch(statements.KINDS)
        living = await self._connections.fetch(_SCHEMAS_SINCE, now - PROCESSOR_LIFE)
        return known_kinds(
            {name: kind_defaults(*defaults) for name, *defaults in declared},
            [
                ServedKinds(
                    row["id"],
                    row["started_at"],
                    row["kinds"],
                    _defaults(row["kind_defaults"]),
                    orjson.loads(row["payload_schemas"] or "{}"),
                )
                for row in living
            ],
        )


async def living_services(connections: SharedConnections, now: datetime) -> list[ServedWork]:
    """What those processors do that said hello within `PROCESSOR_LIFE`, and do not drain."""
    rows = await connections.fetch(_SEEN_SINCE, now - PROCESSOR_LIFE)
    return [ServedWork(frozenset(row["queues"]), frozenset(row["kinds"]), row["id"], row["started_at"]) for row in rows]


def _defaults(text: str | None) -> dict[str, KindDefaults]:
    return {} if text is None else _DEFAULTS.validate_json(text)
