"""Limits and shares as rows of PostgreSQL, and how far limits are used."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from asyncpg import Connection, Record

from taskmill.contracts.errors import (
    LimitNotFoundError,
    ShareNotFoundError,
    TooManyLimitsError,
    TooManySharesError,
)
from taskmill.contracts.limits import MAX_LIMITS, MAX_SHARES
from taskmill.task_store.adapters.database import SharedConnections
from taskmill.task_store.adapters.models import LimitRow, ShareRow, columns
from taskmill.task_store.domain.turns import Bucket, BucketLoad, LimitRules, LimitState, ShareState

_LIMIT_NAMES = ", ".join(columns(LimitRow))
_SHARE_NAMES = ", ".join(columns(ShareRow))

# Of two that come at the very same moment one more may come to exist than may: it bounds work, and nothing breaks.
_PUT_LIMIT = f"""
INSERT INTO limits ({_LIMIT_NAMES})
SELECT $1::text, $2::text, $3::text, $4::integer, $5::integer, $6::double precision, $7::timestamptz, $8::timestamptz
WHERE EXISTS (SELECT FROM limits WHERE name = $1) OR (SELECT count(*) FROM limits) < {MAX_LIMITS}
ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, concurrency_key = excluded.concurrency_key,
    max_in_progress = excluded.max_in_progress, rate_tasks = excluded.rate_tasks,
    rate_seconds = excluded.rate_seconds, updated_at = excluded.updated_at
RETURNING {_LIMIT_NAMES}
"""  # noqa: S608  (names of the model, here and below)
_LIMITS = f'SELECT {_LIMIT_NAMES} FROM limits ORDER BY name COLLATE "C"'  # noqa: S608
_DELETE_LIMIT = "DELETE FROM limits WHERE name = $1 RETURNING name"

_PUT_SHARE = f"""
INSERT INTO shares ({_SHARE_NAMES}) SELECT $1::text, $2::double precision, $3::timestamptz, $4::timestamptz
WHERE EXISTS (SELECT FROM shares WHERE concurrency_key = $1) OR (SELECT count(*) FROM shares) < {MAX_SHARES}
ON CONFLICT (concurrency_key) DO UPDATE SET weight = excluded.weight, updated_at = excluded.updated_at
RETURNING {_SHARE_NAMES}
"""  # noqa: S608
_GET_SHARE = f"SELECT {_SHARE_NAMES} FROM shares WHERE concurrency_key = $1"  # noqa: S608
_SHARE_PAGE = f"""
SELECT {_SHARE_NAMES} FROM shares
WHERE concurrency_key COLLATE "C" > $1 ORDER BY concurrency_key COLLATE "C" LIMIT $2
"""  # noqa: S608
_DELETE_SHARE = "DELETE FROM shares WHERE concurrency_key = $1 RETURNING concurrency_key"

MAX_LOOKED_AT = 20_000
"""So many tasks that are let through are looked at for what limits of kinds hold. Who gives turns knows no more."""

MIN_LOOKED_AT = 1_000
"""Of each queue so many queued tasks are looked at, or as many as the largest limit allows: the last that were queued.
Those that had their turn mostly are, for a queue with turns has few queued. Where they are not, a task is told to wait
for its turn, which is true, and the limit is not named."""

# Counted up to the limit: what is in progress first, since that is mostly all of it.
_ACTIVE_BY_KEY = """
SELECT bucket.number, (SELECT count(*) FROM (
    SELECT FROM tasks WHERE status = 'in_progress' AND is_run_active
        AND concurrency_key = bucket.key AND kind = coalesce(bucket.kind, kind)
    UNION ALL
    SELECT FROM tasks WHERE status = 'queued' AND concurrency_key = bucket.key AND kind = coalesce(bucket.kind, kind)
    LIMIT bucket.most
) AS active) AS active
FROM unnest($1::integer[], $2::text[], $3::text[]) WITH ORDINALITY AS bucket (most, kind, key, number)
"""
# No index finds tasks by their kind: none is worth what it would cost each task.
_ACTIVE_IN_ALL = f"""
WITH active AS MATERIALIZED (
    SELECT kind FROM tasks WHERE status = 'in_progress' AND is_run_active
    UNION ALL
    SELECT task.kind FROM queues, LATERAL (
        SELECT kind FROM tasks WHERE status = 'queued' AND queue = queues.name ORDER BY queued_at DESC LIMIT $3
    ) AS task
    LIMIT {MAX_LOOKED_AT}
)
SELECT bucket.number, CASE WHEN bucket.kind IS NULL THEN (
    SELECT coalesce(sum(queued_critical + queued_high + queued_medium + queued_low + in_progress), 0)::bigint
    FROM queues
) ELSE (
    SELECT count(*) FROM (SELECT FROM active WHERE kind = bucket.kind LIMIT bucket.most) AS found
) END AS active
FROM unnest($1::integer[], $2::text[]) WITH ORDINALITY AS bucket (most, kind, number)
"""  # noqa: S608
_STARTS = """
SELECT limit_name, concurrency_key, last_at, tasks FROM turn_starts
WHERE (limit_name, concurrency_key) IN (SELECT * FROM unnest($1::text[], $2::text[])) ORDER BY last_at DESC
"""


class TurnRows:
    """The `Turns` of PostgreSQL.

    Args:
        connections: For everything.
    """

    def __init__(self, connections: SharedConnections) -> None:
        self._connections = connections

    async def put_limit(self, limit: LimitState) -> LimitState:
        """See `Turns`."""
        rows = await self._connections.fetch(_PUT_LIMIT, *limit)
        if not rows:
            raise TooManyLimitsError(MAX_LIMITS)
        return LimitState(*rows[0])

    async def limits(self) -> LimitRules:
        """See `Turns`."""
        return await read_limits(self._connections)

    async def delete_limit(self, name: str) -> None:
        """See `Turns`."""
        if not await self._connections.fetch(_DELETE_LIMIT, name):
            raise LimitNotFoundError

    async def put_share(self, share: ShareState) -> ShareState:
        """See `Turns`."""
        rows = await self._connections.fetch(_PUT_SHARE, *share)
        if not rows:
            raise TooManySharesError(MAX_SHARES)
        return ShareState(*rows[0])

    async def share(self, concurrency_key: str) -> ShareState:
        """See `Turns`."""
        rows = await self._connections.fetch(_GET_SHARE, concurrency_key)
        if not rows:
            raise ShareNotFoundError
        return ShareState(*rows[0])

    async def shares(self, *, behind: str, limit: int) -> list[ShareState]:
        """See `Turns`."""
        return [ShareState(*row) for row in await self._connections.fetch(_SHARE_PAGE, behind, limit)]

    async def delete_share(self, concurrency_key: str) -> None:
        """See `Turns`."""
        if not await self._connections.fetch(_DELETE_SHARE, concurrency_key):
            raise ShareNotFoundError

    async def loads(self, buckets: Collection[Bucket], now: datetime) -> Mapping[tuple[str, str], BucketLoad]:
        """See `Turns`."""
        limited = [bucket for bucket in buckets if bucket.limit.max_in_progress]
        by_key = [bucket for bucket in limited if bucket.limit.concurrency_key is not None]
        in_all = [bucket for bucket in limited if bucket.limit.concurrency_key is None]
        active = {**await self._active_by_key(by_key), **await self._active_in_all(in_all)}
        starts = await self._starts([bucket for bucket in buckets if bucket.limit.rate_tasks is not None])
        return {
            (bucket.limit.name, bucket.key): BucketLoad(
                active.get(bucket, 0), bucket.limit.room_at(starts[bucket], now) if bucket in starts else None
            )
            for bucket in buckets
        }

    async def _active_by_key(self, buckets: Sequence[Bucket]) -> dict[Bucket, int]:
        if not buckets:
            return {}
        keys = [bucket.key or bucket.limit.concurrency_key for bucket in buckets]
        rows = await self._connections.fetch(_ACTIVE_BY_KEY, *_most_and_kinds(buckets), keys)
        return {buckets[row["number"] - 1]: row["active"] for row in rows}

    async def _active_in_all(self, buckets: Sequence[Bucket]) -> dict[Bucket, int]:
        if not buckets:
            return {}
        of_kinds = [bucket.limit.max_in_progress or 0 for bucket in buckets if bucket.limit.kind is not None]
        looked_at = max(MIN_LOOKED_AT, *of_kinds, 0)
        rows = await self._connections.fetch(_ACTIVE_IN_ALL, *_most_and_kinds(buckets), looked_at)
        return {buckets[row["number"] - 1]: row["active"] for row in rows}

    async def _starts(self, buckets: Sequence[Bucket]) -> dict[Bucket, list[tuple[datetime, int]]]:
        if not buckets:
            return {}
        starts: dict[tuple[str, str], list[tuple[datetime, int]]] = {}
        names = [(bucket.limit.name, bucket.key) for bucket in buckets]
        for limit_name, key, last_at, tasks in await self._connections.fetch(_STARTS, *zip(*names, strict=True)):
            starts.setdefault((limit_name, key), []).append((last_at, tasks))
        return {bucket: starts.get((bucket.limit.name, bucket.key), []) for bucket in buckets}


def _most_and_kinds(buckets: Sequence[Bucket]) -> tuple[list[int], list[str | None]]:
    return [bucket.limit.max_in_progress or 0 for bucket in buckets], [bucket.limit.kind for bucket in buckets]


async def read_limits(connection: "SharedConnections | Connection[Record]") -> LimitRules:
    """All limits."""
    return LimitRules(LimitState(*row) for row in await connection.fetch(_LIMITS))
