"""Reads bulk operations, and writes what a batch changed of them."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import asyncpg
from asyncpg import Connection, Record

from taskmill.contracts.bulk_operations import BulkAction, BulkStatus, BulkWait
from taskmill.contracts.errors import BulkOperationNotFoundError
from taskmill.task_store.adapters import bulk_statements
from taskmill.task_store.adapters.database import CONNECT_TIMEOUT_SECONDS, translated_errors
from taskmill.task_store.domain.bulk_operations import BulkBook, BulkOperationState


class BulkOperationRows:
    """The `BulkOperationReads` of PostgreSQL, and the look for what runs, which raises the same when it is away.

    Args:
        pool: Connections.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def bulk_operation(self, operation_id: UUID) -> BulkOperationState:
        """A bulk operation.

        Raises:
            BulkOperationNotFoundError: There is none with this id.
        """
        found = await self._fetch(bulk_statements.BULK_OPERATIONS, [operation_id])
        if not found:
            raise BulkOperationNotFoundError
        return found[0]

    async def running(self, limit: int, *, behind: UUID) -> list[BulkOperationState]:
        """Those that are not completed, at most `limit`: first those that wait for nothing.

        Either are in the order of their ids, from the first behind `behind` round to that one itself.
        """
        return await self._fetch(bulk_statements.RUNNING_BULK_OPERATIONS, limit, behind)

    async def _fetch(self, statement: str, *arguments: object) -> list[BulkOperationState]:
        async with translated_errors(), self._pool.acquire(timeout=CONNECT_TIMEOUT_SECONDS) as connection:
            return [_bulk_operation(row) for row in await connection.fetch(statement, *arguments)]


async def read_bulk_operations(connection: "Connection[Record]", ids: Sequence[UUID]) -> list[BulkOperationState]:
    """Those with these ids, on a connection that holds the lock of the event log."""
    return [_bulk_operation(row) for row in await connection.fetch(bulk_statements.BULK_OPERATIONS, ids)]


async def write_bulk_operations(connection: "Connection[Record]", book: BulkBook) -> None:
    """Write what a batch changed, on a connection that holds the lock of the event log."""
    for operation in book.added:
        await connection.execute(bulk_statements.ADD_BULK_OPERATION, *operation)
    for operation in book.changed.values():
        await connection.execute(
            bulk_statements.MOVE_BULK_OPERATION,
            operation.id,
            operation.status,
            operation.waiting_for,
            operation.position,
            operation.matched,
            operation.done,
            operation.refusals,
            operation.finished_at,
        )


def _bulk_operation(row: Iterable[Any]) -> BulkOperationState:
    operation = BulkOperationState._make(row)
    return operation._replace(
        action=BulkAction(operation.action),
        status=BulkStatus(operation.status),
        waiting_for=None if operation.waiting_for is None else BulkWait(operation.waiting_for),
    )
