"""Rows that nobody asks for any more."""

from datetime import datetime

from taskmill.task_store.adapters.database import DedicatedConnection

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

_FORGET_API_KEYS = "DELETE FROM api_keys WHERE least(revoked_at, expires_at) < $1"


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

    async def delete_processors(self, seen_before: datetime) -> None:
        """Delete the processors that were not heard of since an instant."""
        async with self._connection.use() as connection:
            await connection.execute(_FORGET_PROCESSORS, seen_before)

    async def delete_api_keys(self, ended_before: datetime) -> None:
        """Delete the API keys that were revoked, or have expired, before an instant."""
        async with self._connection.use() as connection:
            await connection.execute(_FORGET_API_KEYS, ended_before)

    async def _delete(self, statement: str, before: datetime, limit: int) -> int:
        async with self._connection.use() as connection:
            # The status tells the number: `DELETE 17`.
            return int((await connection.execute(statement, before, limit)).split()[-1])
