"""Reads single tasks, their lines and their events, with fixed SQL over a pool of connections."""

from uuid import UUID

from taskmill.contracts.errors import DatabaseUnavailableError, TaskNotFoundError
from taskmill.contracts.limits import MAX_BODY_BYTES
from taskmill.task_store.adapters import statements
from taskmill.task_store.adapters.database import SharedConnections
from taskmill.task_store.adapters.rows import task_state
from taskmill.task_store.domain.state import LineState, TaskState
from taskmill.task_store.ports import DueTime, EventSlice, LineSlice


class TaskReader:
    """The `Reads` of PostgreSQL.

    Args:
        connections: Connections; reading never uses the writer's.
    """

    def __init__(self, connections: SharedConnections) -> None:
        self._connections = connections

    async def task(self, task_id: UUID) -> TaskState:
        """See `Reads`."""
        rows = await self._connections.fetch(statements.GET_TASK, task_id)
        if not rows:
            raise TaskNotFoundError
        return task_state(rows[0])

    async def checkpoint(self, task_id: UUID, run: int) -> str:
        """See `Reads`."""
        rows = await self._connections.fetch(statements.GET_CHECKPOINT, task_id, run)
        if not rows:
            raise TaskNotFoundError
        return str(rows[0]["checkpoint"])

    async def events(self, task_id: UUID, *, after_version: int, limit: int) -> EventSlice:
        """See `Reads`."""
        arguments = (task_id, after_version, limit + 1, MAX_BODY_BYTES)
        rows = await self._connections.fetch(statements.EVENT_PAGE, *arguments)
        if not rows:
            known = await self._connections.fetch(statements.GET_VERSION, task_id)
            # Once more, for the task may have been changed in between; so there is none up to that version.
            rows = await self._connections.fetch(statements.EVENT_PAGE, *arguments)
            if not rows:
                if not known and after_version == 0:
                    raise TaskNotFoundError
                version = known[0]["version"] if known else 0
                removed = version if version > after_version else 0
                return EventSlice([], after_version, has_more=False, removed=removed)
        shown = rows[:limit]
        first_version = shown[0]["version"]
        return EventSlice(
            documents=[row["document"].encode() for row in shown],
            last_version=shown[-1]["version"],
            has_more=rows[0]["candidates"] > len(shown),
            removed=first_version - 1 if first_version > after_version + 1 else 0,
        )

    async def lines(self, task_id: UUID, *, after_position: int, limit: int) -> LineSlice:
        """See `Reads`."""
        rows = await self._connections.fetch(statements.LINE_PAGE, task_id, after_position, limit + 1)
        if not rows:
            raise TaskNotFoundError
        lines = [LineState(*row[1:]) for row in rows if row["position"] is not None]
        return LineSlice(lines, dropped=rows[0]["dropped"])

    async def next_due(self, limit: int) -> list[DueTime]:
        """See `Reads`."""
        return [DueTime(*row) for row in await self._connections.fetch(statements.DUE_TASKS, limit)]

    async def is_reachable(self) -> bool:
        """See `Reads`."""
        try:
            await self._connections.fetch("SELECT 1")
        except DatabaseUnavailableError:
            return False
        return True
