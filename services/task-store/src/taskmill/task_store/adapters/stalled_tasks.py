"""Finds the tasks that the reconciler looks at: those that wait, fell silent, or are to be cancelled."""

from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from taskmill.contracts.status import Priority
from taskmill.task_store.adapters.database import SharedConnections
from taskmill.task_store.adapters.statements import effective_dispatch
from taskmill.task_store.domain.log_epoch import FIRST_EPOCH, LogEpoch

# As scalars, because the planner looks those up row by row: of an EXISTS it may make a join with the whole log.
# An event that is no longer there was published: before that, none is removed.
_IS_WORK_PUBLISHED = """coalesce((
    SELECT position FROM task_events
    WHERE task_events.task_id = tasks.id AND task_events.type = 'queued' AND task_events.dispatch = tasks.dispatch
), 0) <= (SELECT greatest(work_position, position) FROM relay_cursor)"""

_QUEUED = f"""
SELECT queued_at, id, {{dispatch}}, queue, priority, kind FROM tasks
WHERE status = 'queued' AND (queued_at, id) > ($1, $2) AND queued_at <= $3 AND {_IS_WORK_PUBLISHED}
ORDER BY queued_at, id LIMIT $4
"""  # noqa: S608

_SILENT = f"""
SELECT created_at, id, {{dispatch}}, queue, priority, kind FROM tasks
WHERE status = 'in_progress' AND is_run_active AND (created_at, id) > ($1, $2)
AND lease_until <= $3 AND cancel_requested_at IS NULL AND {_IS_WORK_PUBLISHED}
ORDER BY created_at, id LIMIT $4
"""  # noqa: S608

_CANCELLING = """
SELECT id, attempt, lease_until FROM tasks
WHERE status = 'in_progress' AND is_run_active AND cancel_requested_at IS NOT NULL
ORDER BY lease_until LIMIT $1
"""


class Place(NamedTuple):
    """A task's place in the order in which tasks of its sort are gone through."""

    instant: datetime
    id: UUID


START = Place(datetime.fromtimestamp(0, UTC), UUID(int=0))
"""Before the first."""


class StalledTask(NamedTuple):
    """A task that should have a message on its work subject."""

    place: Place
    id: UUID
    dispatch: int
    queue: str
    priority: Priority
    kind: str


class CancellingTask(NamedTuple):
    """A task in progress that is to be cancelled."""

    id: UUID
    attempt: int
    lease_until: datetime


class StalledTasks:
    """Reads with fixed SQL. Every method raises `DatabaseUnavailableError` when PostgreSQL is away."""

    def __init__(self, connections: SharedConnections) -> None:
        self._connections = connections
        self.begin_epoch(FIRST_EPOCH)

    def begin_epoch(self, epoch: LogEpoch) -> None:
        """Say which epoch of the log it is."""
        dispatch = effective_dispatch(epoch.dispatch_floor)
        self._queued, self._silent = (statement.format(dispatch=dispatch) for statement in (_QUEUED, _SILENT))

    async def queued(self, after: Place, until: datetime, limit: int) -> list[StalledTask]:
        """Tasks behind a place that are queued since `until` or longer, and whose work the relay has published."""
        return [_stalled(row) for row in await self._connections.fetch(self._queued, *after, until, limit)]

    async def silent(self, after: Place, now: datetime, limit: int) -> list[StalledTask]:
        """Tasks in progress behind a place whose lease has run out, and which nobody wants to be cancelled."""
        return [_stalled(row) for row in await self._connections.fetch(self._silent, *after, now, limit)]

    async def cancelling(self, limit: int) -> list[CancellingTask]:
        """Tasks that are to be cancelled, in the order in which their leases run out."""
        return [CancellingTask(*row) for row in await self._connections.fetch(_CANCELLING, limit)]


def _stalled(row: asyncpg.Record) -> StalledTask:
    instant, task_id, dispatch, queue, priority, kind = row
    return StalledTask(Place(instant, task_id), task_id, dispatch, queue, Priority(priority), kind)
