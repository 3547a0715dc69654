"""Rows that nobody asks for any more."""

from datetime import datetime

from taskmill.task_store.adapters import bulk_statements, relay_statements
from taskmill.task_store.adapters.database import DedicatedConnection


class ExpiredRows:
    """Deletes them. Every method raises `DatabaseUnavailableError` when PostgreSQL is away.

    Args:
        connection: A connection for this alone.
    """

    def __init__(self, connection: DedicatedConnection) -> None:
        self._connection = connection

    async def delete_keys(self, created_before: datetime, limit: int) -> int:
        """Delete the oldest idempotency keys, at most `limit`; return how many."""
        return await self._delete(relay_statements.FORGET_KEYS, created_before, limit)

    async def delete_bulk_operations(self, finished_before: datetime, limit: int) -> int:
        """Delete the bulk operations that were completed first, at most `limit`; return how many."""
        return await self._delete(bulk_statements.FORGET_BULK_OPERATIONS, finished_before, limit)

    async def delete_processors(self, seen_before: datetime) -> None:
        """Delete the processors that were not heard of since an instant."""
        async with self._connection.use() as connection:
            await connection.execute(relay_statements.FORGET_PROCESSORS, seen_before)

    async def _delete(self, statement: str, before: datetime, limit: int) -> int:
        async with self._connection.use() as connection:
            # The status tells the number: `DELETE 17`.
            return int((await connection.execute(statement, before, limit)).split()[-1])
