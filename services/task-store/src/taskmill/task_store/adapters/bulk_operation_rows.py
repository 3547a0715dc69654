"""Reads bulk operations, and writes what a batch changed of them."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from asyncpg import Connection, Record

from taskmill.contracts.bulk_operations import BulkAction, BulkStatus, BulkWait
from taskmill.contracts.errors import BulkOperationNotFoundError
from taskmill.contracts.limits import MAX_TASK_LINES
from taskmill.task_store.adapters.database import SharedConnections
from taskmill.task_store.adapters.models import BulkOperationRow, parameters
from taskmill.task_store.domain.bulk_operations import BulkBook, BulkOperationState

_PARAMETERS = parameters(BulkOperationRow)
_NAMES = ", ".join(_PARAMETERS)
_VALUES = ", ".join(_PARAMETERS.values())

_ADD = f"INSERT INTO bulk_operations ({_NAMES}) VALUES ({_VALUES})"  # noqa: S608  (names of the model)

_MOVE = """
UPDATE bulk_operations SET status = $2, waiting_for = $3, position = $4, matched = $5, done = $6, refusals = $7,
    finished_at = $8
WHERE id = $1
"""
"""Writes how far an operation is. Under the lock of the event log, nobody else moves it meanwhile."""

_WITH_IDS = f"SELECT {_NAMES} FROM bulk_operations WHERE id = ANY($1::uuid[])"  # noqa: S608

_RUNNING = f"""
SELECT {_NAMES} FROM bulk_operations WHERE status = 'running'
ORDER BY waiting_for IS NOT NULL, id <= $2, id LIMIT $1
"""  # noqa: S608

_LINES = f"SELECT id, least(line_count, {MAX_TASK_LINES}) FROM tasks WHERE id = ANY($1) AND line_count > 0"  # noqa: S608


class BulkOperationRows:
    """The `BulkOperationReads` of PostgreSQL, and the look for what runs, which raises the same when it is away."""

    def __init__(self, connections: SharedConnections) -> None:
        self._connections = connections

    async def bulk_operation(self, operation_id: UUID) -> BulkOperationState:
        """See `BulkOperationReads`."""
        found = await self._fetch(_WITH_IDS, [operation_id])
        if not found:
            raise BulkOperationNotFoundError
        return found[0]

    async def running(self, limit: int, *, behind: UUID) -> list[BulkOperationState]:
        """Those that are not completed, at most `limit`: first those that wait for nothing.

        Either are in the order of their ids, from the first behind `behind` round to that one itself.
        """
        return await self._fetch(_RUNNING, limit, behind)

    async def lines(self, task_ids: Sequence[UUID]) -> dict[UUID, int]:
        """How many lines these tasks have, at most; those that have none are left out."""
        return dict(await self._connections.fetch(_LINES, task_ids))  # type: ignore[arg-type]  # rows of two

    async def _fetch(self, statement: str, *arguments: object) -> list[BulkOperationState]:
        return [_bulk_operation(row) for row in await self._connections.fetch(statement, *arguments)]


async def read_bulk_operations(connection: "Connection[Record]", ids: Sequence[UUID]) -> list[BulkOperationState]:
    """Those with these ids, on a connection that holds the lock of the event log."""
    return [_bulk_operation(row) for row in await connection.fetch(_WITH_IDS, ids)]


async def write_bulk_operations(connection: "Connection[Record]", book: BulkBook) -> None:
    """Write what a batch changed, on a connection that holds the lock of the event log."""
    for operation in book.added:
        await connection.execute(_ADD, *operation)
    for operation in book.changed.values():
        await connection.execute(
            _MOVE,
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
