"""What the relay reads of the event log, and the one row that says who relays and how far it is."""

from typing import NamedTuple
from uuid import UUID

from asyncpg import Record

from taskmill.contracts.events import EventType
from taskmill.contracts.status import Priority
from taskmill.task_store.adapters import statements
from taskmill.task_store.adapters.database import Lane

# Calling an enumeration costs ten times as much as a look-up.
_PRIORITIES = {priority.value: priority for priority in Priority}
_EVENT_TYPES = {event_type.value: event_type for event_type in EventType}


class WaitingWork(NamedTuple):
    """What a work item is made of: a task that still waits for the dispatch that an event asks for."""

    run: int
    attempt: int
    dispatch: int
    title: str
    queue: str
    priority: Priority
    labels: str
    """JSON text."""
    payload: str
    """JSON text."""


class UnpublishedEvent(NamedTuple):
    """An event behind the relay's cursor, with the work to publish for it."""

    position: int
    task_id: UUID
    version: int
    type: EventType
    kind: str
    document: str
    work: WaitingWork | None


class LogSlice(NamedTuple):
    """Some of the log, in order."""

    events: list[UnpublishedEvent]
    has_more: bool
    """Whether more may follow."""


class RelayLog:
    """The relay's view of PostgreSQL. It is the `LeaseStore` of the relay's leadership, too.

    Args:
        lane: The relay's connection.
        lease_lane: The connection for the lease alone, so that a slow read does not cost the leadership.
    """

    def __init__(self, lane: Lane, lease_lane: Lane) -> None:
        self._lane = lane
        self._lease_lane = lease_lane

    async def acquire(self, owner: str, ttl_seconds: float) -> bool:
        """Take, or renew, the lease; see `LeaseStore`."""
        async with self._lease_lane.connection() as connection:
            return await connection.fetchval(statements.ACQUIRE_RELAY, owner, ttl_seconds) is not None

    async def release(self, owner: str) -> None:
        """Give the lease back; see `LeaseStore`."""
        async with self._lease_lane.connection() as connection:
            await connection.execute(statements.RELEASE_RELAY, owner)

    async def position(self, owner: str) -> int | None:
        """Up to where the log is published; None: somebody else leads."""
        async with self._lane.connection() as connection:
            position: int | None = await connection.fetchval(statements.RELAY_POSITION, owner)
        return position

    async def unpublished(self, position: int, *, limit: int, max_bytes: int) -> LogSlice:
        """The events behind a position, in order: at most `limit`, and `max_bytes` of documents and payloads."""
        async with self._lane.connection() as connection:
            rows = await connection.fetch(statements.UNPUBLISHED, position, limit, max_bytes)
        candidates = rows[0]["candidates"] if rows else 0
        return LogSlice([_event(row) for row in rows], has_more=candidates == limit or candidates > len(rows))

    async def advance(self, owner: str, position: int) -> bool:
        """Write down that the log is published up to a position; False: `owner` no longer leads."""
        async with self._lane.connection() as connection:
            return await connection.fetchval(statements.ADVANCE_RELAY, owner, position) is not None


def _event(row: Record) -> UnpublishedEvent:
    _, position, task_id, version, event_type, kind, document, run, attempt, *rest = row
    work = None
    if run is not None:
        dispatch, title, queue, priority, labels, payload = rest
        work = WaitingWork(run, attempt, dispatch, title, queue, _PRIORITIES[priority], labels, payload)
    return UnpublishedEvent(position, task_id, version, _EVENT_TYPES[event_type], kind, document, work)
