"""Rows that nobody asks for any more."""

from datetime import datetime

from taskmill.contracts.tasks import DEFAULT_QUEUE
from taskmill.task_store.adapters.database import DedicatedConnection
from taskmill.task_store.adapters.statements import BEGIN_UNDER_LOCK
from taskmill.task_store.domain.waiting import PROCESSOR_LIFE

_FORGET_PROCESSORS = "DELETE FROM processors WHERE seen_at < $1"

_FORGET_KEYS = """
DELETE FROM idempotency_keys WHERE (scope, key) IN (
    SELECT scope, key FROM idempotency_keys WHERE created_at < $1 ORDER BY created_at LIMIT $2
)
"""

_FORGET_BULK_OPERATIONS = """
DELETE FROM bulk_operations WHERE id IN (
    SELECT id FROM bulk_operations WHERE finished_at < $1 ORDER BY finished_at LIMIT $2
)
"""


_FORGET_REPLAYS = """
DELETE FROM replays WHERE id IN (
    SELECT id FROM replays WHERE finished_at < $1 ORDER BY finished_at LIMIT $2
)
"""

_FORGET_FIRES = """
DELETE FROM schedule_fires WHERE task_id IN (
    SELECT task_id FROM schedule_fires WHERE decided_at < $1 ORDER BY decided_at LIMIT $2
)
"""

_FORGET_GROUPS = """
DELETE FROM task_groups WHERE id IN (
    SELECT id FROM task_groups WHERE settled_at < $1 ORDER BY settled_at LIMIT $2
)
"""

_FORGET_API_KEYS = "DELETE FROM api_keys WHERE least(revoked_at, expires_at) < $1"


# The last look is into an index: were the counters wrong, work would wait without consumers.
_IS_IDLE = """
(waiting, queued_critical, queued_high, queued_medium, queued_low, in_progress) = (0, 0, 0, 0, 0, 0)
    AND paused_at IS NULL
    AND NOT EXISTS (SELECT FROM processors WHERE processors.seen_at >= $1 AND queues.name = ANY(processors.queues))
    AND NOT EXISTS (SELECT FROM tasks WHERE status = 'queued' AND tasks.queue = queues.name)
"""
_NOTE_IDLE = f"UPDATE queues SET idle_since = $2 WHERE idle_since IS NULL AND {_IS_IDLE}"  # noqa: S608
_NOTE_USED = f"UPDATE queues SET idle_since = NULL WHERE idle_since IS NOT NULL AND NOT ({_IS_IDLE})"  # noqa: S608
_IS_ANY_OVER = "SELECT FROM queues WHERE idle_since < $1 AND name <> $2 LIMIT 1"
_FORGET_QUEUES = f"DELETE FROM queues WHERE idle_since < $2 AND name <> $3 AND {_IS_IDLE} RETURNING name"  # noqa: S608


_IS_ANY_KEY_OVER = "SELECT FROM unique_keys WHERE expires_at <= $1 LIMIT 1"
_RELEASE_KEYS = """
DELETE FROM unique_keys WHERE key IN (
    SELECT key FROM unique_keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2
)
"""


_FORGET_TURN_STARTS = """
DELETE FROM turn_starts WHERE (limit_name, concurrency_key, slice) IN (
    SELECT limit_name, concurrency_key, slice FROM turn_starts WHERE NOT EXISTS (
        SELECT FROM limits WHERE limits.name = turn_starts.limit_name AND limits.rate_seconds IS NOT NULL
            AND turn_starts.last_at > $1::timestamptz - make_interval(secs => limits.rate_seconds)
    ) LIMIT $2
)
"""


class ExpiredRows:
    """Deletes them. Every method raises `DatabaseUnavailableError` when PostgreSQL is away.

    Args:
        connection: A connection for this alone.
    """

    def __init__(self, connection: DedicatedConnection) -> None:
        self._connection = connection

    async def delete_keys(self, created_before: datetime, limit: int) -> int:
        """Delete the oldest idempotency keys, at most `limit`; return how many."""
        return await self._delete(_FORGET_KEYS, created_before, limit)

    async def delete_bulk_operations(self, finished_before: datetime, limit: int) -> int:
        """Delete the bulk operations that were completed first, at most `limit`; return how many."""
        return await self._delete(_FORGET_BULK_OPERATIONS, finished_before, limit)

    async def delete_replays(self, finished_before: datetime, limit: int) -> int:
        """Delete the replays that were completed first, at most `limit`; return how many."""
        return await self._delete(_FORGET_REPLAYS, finished_before, limit)

    async def delete_schedule_fires(self, decided_before: datetime, limit: int) -> int:
        """Delete what became of times of schedules, the oldest first, at most `limit`; return how many."""
        return await self._delete(_FORGET_FIRES, decided_before, limit)

    async def delete_groups(self, settled_before: datetime, limit: int) -> int:
        """Delete the groups that were settled first, at most `limit`; return how many. Their tasks stay."""
        return await self._delete(_FORGET_GROUPS, settled_before, limit)

    async def delete_processors(self, seen_before: datetime) -> None:
        """Delete the processors that were not heard of since an instant."""
        async with self._connection.use() as connection:
            await connection.execute(_FORGET_PROCESSORS, seen_before)

    async def forget_queues(self, idle_before: datetime, now: datetime) -> list[str]:
        """Note which queues are idle, and delete those that are so since before an instant; return their names.

        Idle is a queue in which no task waits or is at work, which no living processor serves, and which is not paused.
        Under the lock of the event log no task comes to wait in it meanwhile: one that comes after makes it again.
        """
        seen_since = now - PROCESSOR_LIFE
        async with self._connection.use() as connection:
            await connection.execute(_NOTE_USED, seen_since)
            await connection.execute(_NOTE_IDLE, seen_since, now)
            if not await connection.fetch(_IS_ANY_OVER, idle_before, DEFAULT_QUEUE):
                return []
            await connection.execute(BEGIN_UNDER_LOCK)
            forgotten = await connection.fetch(_FORGET_QUEUES, seen_since, idle_before, DEFAULT_QUEUE)
            await connection.execute("COMMIT")
            return [row["name"] for row in forgotten]

    async def release_unique_keys(self, now: datetime, limit: int) -> int:
        """Release unique keys that were to be held no longer, at most `limit`; return how many.

        Under the lock of the event log, for a writer that holds it counts on what it has read of them.
        """
        async with self._connection.use() as connection:
            if not await connection.fetch(_IS_ANY_KEY_OVER, now):
                return 0
            await connection.execute(BEGIN_UNDER_LOCK)
            released = await connection.execute(_RELEASE_KEYS, now, limit)
            await connection.execute("COMMIT")
            return int(released.split()[-1])

    async def delete_turn_starts(self, now: datetime, limit: int) -> int:
        """Delete turns that no rate counts any more, at most `limit`; return how many."""
        return await self._delete(_FORGET_TURN_STARTS, now, limit)

    async def delete_api_keys(self, ended_before: datetime) -> None:
        """Delete the API keys that were revoked, or have expired, before an instant."""
        async with self._connection.use() as connection:
            await connection.execute(_FORGET_API_KEYS, ended_before)

    async def _delete(self, statement: str, before: datetime, limit: int) -> int:
        async with self._connection.use() as connection:
            # The status tells the number: `DELETE 17`.
            return int((await connection.execute(statement, before, limit)).split()[-1])
