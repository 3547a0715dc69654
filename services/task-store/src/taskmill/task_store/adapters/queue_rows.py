"""The queues as rows of PostgreSQL: what is counted of them, and whether they are paused."""

from datetime import datetime
from uuid import UUID

import asyncpg

from taskmill.contracts.errors import QueueNotFoundError, TooManyQueuesError
from taskmill.contracts.requests import UnknownKind
from taskmill.task_store.adapters.database import SharedConnections
from taskmill.task_store.domain.fleet import QueueState
from taskmill.task_store.domain.waiting import ServedWork

# One look into an index for each queue in which a task is queued: nothing is counted here, whatever waits.
_STATE = """
SELECT name, paused_at, waiting, queued_critical, queued_high, queued_medium, queued_low, in_progress, finished,
    CASE WHEN queued_critical + queued_high + queued_medium + queued_low > 0 THEN (
        SELECT queued_at FROM tasks WHERE status = 'queued' AND queue = queues.name ORDER BY queued_at LIMIT 1
    ) END AS oldest_queued_at
FROM queues
"""
_PAGE = _STATE + "WHERE name > $1 ORDER BY name LIMIT $2"
_GET = _STATE + "WHERE name = $1"

# Two that come at the very same moment may exceed the limit by one: it bounds work, and nothing breaks beyond it.
_PAUSE = """
INSERT INTO queues (name, created_at, paused_at) SELECT $1, $2, $2
WHERE EXISTS (SELECT FROM queues WHERE name = $1) OR (SELECT count(*) FROM queues) < $3
ON CONFLICT (name) DO UPDATE SET paused_at = coalesce(queues.paused_at, excluded.paused_at)
RETURNING name
"""
_RESUME = "UPDATE queues SET paused_at = NULL WHERE name = $1 RETURNING name"

_REFUSED = """
SELECT id FROM tasks WHERE refusals > 0 AND status IN ('queued', 'scheduled') AND status = 'scheduled'
    AND queue = ANY($1::text[]) AND kind = ANY($2::text[]) LIMIT $3
"""

_PAUSES = "SELECT name, paused_at IS NOT NULL AS is_paused FROM queues"
_IS_PAUSED = "SELECT FROM queues WHERE name = $1 AND paused_at IS NOT NULL"
_FINISHED = "SELECT name, finished FROM queues"

_UNSERVED = """
SELECT name FROM queues WHERE waiting > 0 AND name NOT IN (
    SELECT unnest(queues) FROM processors WHERE seen_at >= $1 AND NOT is_draining
) ORDER BY name LIMIT $2
"""

# One look into an index that is nearly always empty for each kind that was refused, up to 1,000 of them.
_UNKNOWN_KINDS = """
WITH RECURSIVE refused AS (
    (
        SELECT queue, kind, 1 AS number FROM tasks WHERE refusals > 0 AND status IN ('queued', 'scheduled')
        ORDER BY queue, kind LIMIT 1
    )
    UNION ALL
    SELECT following.queue, following.kind, refused.number + 1 FROM refused, LATERAL (
        SELECT queue, kind FROM tasks WHERE refusals > 0 AND status IN ('queued', 'scheduled')
            AND (queue, kind) > (refused.queue, refused.kind) ORDER BY queue, kind LIMIT 1
    ) AS following
    WHERE refused.number < 1000
), living AS MATERIALIZED (
    SELECT queues, kinds FROM processors WHERE seen_at >= $1 AND NOT is_draining
)
SELECT queue, kind FROM refused
WHERE EXISTS (SELECT FROM living WHERE queue = ANY(queues))
    AND NOT EXISTS (SELECT FROM living WHERE queue = ANY(queues) AND kind = ANY(kinds))
ORDER BY queue, kind LIMIT $2
"""

# What a store of an earlier release writes it does not count. Tasks and counters are of one snapshot here, so that the
# difference stays right, whatever is added to the counters meanwhile.
_MISCOUNTED = """
WITH counted AS (
    SELECT queue, count(*) FILTER (WHERE status = 'queued' AND priority = 'critical') AS queued_critical,
        count(*) FILTER (WHERE status = 'queued' AND priority = 'high') AS queued_high,
        count(*) FILTER (WHERE status = 'queued' AND priority = 'medium') AS queued_medium,
        count(*) FILTER (WHERE status = 'queued' AND priority = 'low') AS queued_low,
        count(*) FILTER (WHERE status = 'in_progress' AND is_run_active) AS in_progress
    FROM tasks WHERE status IN ('queued', 'in_progress') GROUP BY queue
), missing AS (
    SELECT name, coalesce(counted.queued_critical, 0) - queues.queued_critical AS critical,
        coalesce(counted.queued_high, 0) - queues.queued_high AS high,
        coalesce(counted.queued_medium, 0) - queues.queued_medium AS medium,
        coalesce(counted.queued_low, 0) - queues.queued_low AS low,
        coalesce(counted.in_progress, 0) - queues.in_progress AS in_progress
    FROM queues LEFT JOIN counted ON counted.queue = queues.name
)
SELECT name, critical, high, medium, low, in_progress FROM missing
WHERE (critical, high, medium, low, in_progress) <> (0, 0, 0, 0, 0) ORDER BY name
"""
_MEND = """
UPDATE queues SET queued_critical = queued_critical + $2, queued_high = queued_high + $3,
    queued_medium = queued_medium + $4, queued_low = queued_low + $5, in_progress = in_progress + $6
WHERE name = $1
"""


class QueueRows:
    """The `Queues` of PostgreSQL, and what keeps them true, which raises the same when it is away.

    Args:
        connections: For everything.
        max_queues: How many queues may exist.
    """

    def __init__(self, connections: SharedConnections, *, max_queues: int) -> None:
        self._connections = connections
        self._max_queues = max_queues

    async def page(self, *, behind: str, limit: int) -> list[QueueState]:
        """See `Queues`."""
        return [_state(row) for row in await self._connections.fetch(_PAGE, behind, limit)]

    async def queue(self, name: str) -> QueueState:
        """See `Queues`."""
        rows = await self._connections.fetch(_GET, name)
        if not rows:
            raise QueueNotFoundError
        return _state(rows[0])

    async def pause(self, name: str, now: datetime) -> None:
        """See `Queues`."""
        if not await self._connections.fetch(_PAUSE, name, now, self._max_queues):
            raise TooManyQueuesError(self._max_queues)

    async def resume(self, name: str) -> None:
        """See `Queues`."""
        if not await self._connections.fetch(_RESUME, name):
            raise QueueNotFoundError

    async def paused(self) -> frozenset[str]:
        """See `Queues`."""
        return frozenset(name for name, is_paused in (await self.pauses()).items() if is_paused)

    async def pauses(self) -> dict[str, bool]:
        """Whether each queue that there is is paused."""
        return {row["name"]: row["is_paused"] for row in await self._connections.fetch(_PAUSES)}

    async def is_paused(self, name: str) -> bool:
        """Whether a queue is paused; one that does not exist is not."""
        return bool(await self._connections.fetch(_IS_PAUSED, name))

    async def unserved(self, seen_since: datetime, limit: int) -> list[str]:
        """See `Queues`."""
        return [row["name"] for row in await self._connections.fetch(_UNSERVED, seen_since, limit)]

    async def unknown_kinds(self, seen_since: datetime, limit: int) -> list[UnknownKind]:
        """See `Queues`."""
        rows = await self._connections.fetch(_UNKNOWN_KINDS, seen_since, limit)
        return [UnknownKind(queue=row["queue"], kind=row["kind"]) for row in rows]

    async def refused(self, served: ServedWork, limit: int) -> list[UUID]:
        """Tasks that wait because their kind was not known, of kinds in queues that a processor serves."""
        return [row["id"] for row in await self._connections.fetch(_REFUSED, served.queues, served.kinds, limit)]

    async def finished(self) -> dict[str, int]:
        """How many runs of the tasks of each queue have ended, ever."""
        return {row["name"]: row["finished"] for row in await self._connections.fetch(_FINISHED)}

    async def recount(self) -> list[str]:
        """Count all tasks that are queued or in progress, and mend what is counted otherwise. Nobody waits for it.

        Returns:
            The queues of which something was mended.
        """
        miscounted = await self._connections.fetch(_MISCOUNTED)
        for row in miscounted:
            # One by one: a statement that holds several rows could stand in the way of the one that writes tasks.
            await self._connections.fetch(_MEND, *row)
        return [row["name"] for row in miscounted]


def _state(row: asyncpg.Record) -> QueueState:
    return QueueState(*row)
