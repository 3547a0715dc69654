"""Finds the tasks that the reconciler looks at: those that wait, fell silent, or are to be cancelled."""

from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from taskmill.contracts.status import Priority
from taskmill.task_store.adapters import relay_statements
from taskmill.task_store.adapters.database import CONNECT_TIMEOUT_SECONDS, translated_errors


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
    """Reads with fixed SQL. Every method raises `DatabaseUnavailableError` when PostgreSQL is away.

    Args:
        pool: Connections.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def queued(self, after: Place, until: datetime, limit: int) -> list[StalledTask]:
        """Tasks behind a place that are queued since `until` or longer, and whose work the relay has published."""
        return [_stalled(row) for row in await self._fetch(relay_statements.STALLED_QUEUED, *after, until, limit)]

    async def silent(self, after: Place, now: datetime, limit: int) -> list[StalledTask]:
        """Tasks in progress behind a place whose lease has run out, and which nobody wants to be cancelled."""
        return [_stalled(row) for row in await self._fetch(relay_statements.STALLED_SILENT, *after, now, limit)]

    async def cancelling(self, limit: int) -> list[CancellingTask]:
        """Tasks that are to be cancelled, in the order in which their leases run out."""
        return [CancellingTask(*row) for row in await self._fetch(relay_statements.CANCELLING, limit)]

    async def _fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        async with translated_errors(), self._pool.acquire(timeout=CONNECT_TIMEOUT_SECONDS) as connection:
            return await connection.fetch(statement, *arguments)


def _stalled(row: asyncpg.Record) -> StalledTask:
    instant, task_id, dispatch, queue, priority, kind = row
    return StalledTask(Place(instant, task_id), task_id, dispatch, queue, Priority(priority), kind)
