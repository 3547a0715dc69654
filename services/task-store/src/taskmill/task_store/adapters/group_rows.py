"""Groups as rows of PostgreSQL."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from asyncpg import Connection, Record

from taskmill.contracts.errors import GroupNotFoundError
from taskmill.contracts.groups import GroupStatus
from taskmill.task_store.adapters.database import SharedConnections
from taskmill.task_store.adapters.models import GroupRow, parameters
from taskmill.task_store.domain.dependencies import DependencyBook
from taskmill.task_store.domain.groups import GroupState

_PARAMETERS = parameters(GroupRow)
_NAMES = ", ".join(_PARAMETERS)
_VALUES = ", ".join(_PARAMETERS.values())

_ADD = f"INSERT INTO task_groups ({_NAMES}) VALUES ({_VALUES})"  # noqa: S608  (names of the model, here and below)
_SETTLE = "UPDATE task_groups SET status = $2, settled_at = $3 WHERE id = $1"
_WITH_IDS = f"SELECT {_NAMES} FROM task_groups WHERE id = ANY($1::uuid[])"  # noqa: S608
_PAGE = f"SELECT {_NAMES} FROM task_groups WHERE id < $1 ORDER BY id DESC LIMIT $2"  # noqa: S608
_COUNTS = """
SELECT group_id, status, count(*) FROM tasks WHERE group_id = ANY($1::uuid[]) GROUP BY group_id, status
"""


class GroupRows:
    """The `Groups` of PostgreSQL."""

    def __init__(self, connections: SharedConnections) -> None:
        self._connections = connections

    async def group(self, group_id: UUID) -> GroupState:
        """See `Groups`."""
        rows = await self._connections.fetch(_WITH_IDS, [group_id])
        if not rows:
            raise GroupNotFoundError
        return _group(rows[0])

    async def page(self, *, before: UUID, limit: int) -> list[GroupState]:
        """See `Groups`."""
        return [_group(row) for row in await self._connections.fetch(_PAGE, before, limit)]

    async def counts(self, group_ids: Iterable[UUID]) -> dict[UUID, dict[str, int]]:
        """See `Groups`."""
        counts: dict[UUID, dict[str, int]] = {}
        for group_id, status, count in await self._connections.fetch(_COUNTS, list(group_ids)):
            counts.setdefault(group_id, {})[status] = count
        return counts


async def groups_of(connection: "Connection[Record]", ids: Iterable[UUID]) -> list[GroupState]:
    """Those with these ids, on a connection that holds the lock of the event log."""
    return [_group(row) for row in await connection.fetch(_WITH_IDS, list(ids))]


async def write_groups(connection: "Connection[Record]", book: DependencyBook) -> None:
    """Write what a batch changed, on a connection that holds the lock of the event log."""
    for group in book.added_groups:
        await connection.execute(_ADD, *group)
    for group in book.settled_groups:
        await connection.execute(_SETTLE, group.id, group.status, group.settled_at)


def _group(row: Iterable[Any]) -> GroupState:
    group = GroupState._make(row)
    return group._replace(status=GroupStatus(group.status))
