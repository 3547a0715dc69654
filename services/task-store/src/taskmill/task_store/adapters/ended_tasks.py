"""Finds tasks that have ended long ago."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from taskmill.contracts.limits import MAX_TASK_LINES
from taskmill.contracts.status import TaskStatus
from taskmill.task_store.adapters.database import SharedConnections
from taskmill.task_store.adapters.stalled_tasks import Place
from taskmill.task_store.domain.removal import removed_at_once

# No task ends before it is created: the index that lists tasks by status serves, and none is kept for this.
_ENDED = f"""
SELECT created_at, id, has_expired, CASE WHEN has_expired THEN least(line_count, {MAX_TASK_LINES}) ELSE 0 END AS lines
FROM (
    SELECT created_at, id, line_count, coalesce(finished_at, updated_at) < $4 AS has_expired FROM tasks
    WHERE status = $1 AND created_at < $4 AND (created_at, id) > ($2, $3) AND NOT is_run_active
    ORDER BY created_at, id LIMIT $5
) AS ended
ORDER BY created_at, id
"""  # noqa: S608


class EndedTasks(NamedTuple):
    """Some of the tasks of a status, in the order of their creation."""

    expired: list[UUID]
    """Those that ended before the instant that was asked for."""
    behind: Place | None
    """Where to go on; None: there are no more."""


class EndedTaskRows:
    """Reads with fixed SQL. Raises `DatabaseUnavailableError` when PostgreSQL is away."""

    def __init__(self, connections: SharedConnections) -> None:
        self._connections = connections

    async def look(self, status: TaskStatus, ended_before: datetime, after: Place, limit: int) -> EndedTasks:
        """Look at the next tasks of a status behind a place that may have ended before an instant.

        At most `limit`, and so many that those that did may be removed at once.
        """
        rows = await self._connections.fetch(_ENDED, status, *after, ended_before, limit)
        looked_at = rows[: removed_at_once(row["lines"] for row in rows)]
        is_end = len(looked_at) == len(rows) < limit
        expired = [row["id"] for row in looked_at if row["has_expired"]]
        return EndedTasks(expired, None if is_end else Place(looked_at[-1]["created_at"], looked_at[-1]["id"]))
