"""What the relay reads of the event log, and the one row that says who relays and how far it is."""

from datetime import datetime
from typing import NamedTuple

from asyncpg import Record

from taskmill.contracts.events import EventType
from taskmill.task_store.adapters import relay_statements
from taskmill.task_store.adapters.database import DedicatedConnection
from taskmill.task_store.adapters.rows import PRIORITIES
from taskmill.task_store.domain.publication import LogSlice, UnpublishedEvent, WaitingWork

# The last columns of an unpublished event are its work, as `WaitingWork` has it.
_PAYLOAD = WaitingWork._fields.index("payload")

_EVENT_TYPES = {event_type.value: event_type for event_type in EventType}


class RelayCursor(NamedTuple):
    """How far the relay is."""

    position: int
    """Up to where in the log events are published."""
    work_position: int
    """Up to where in the log its work is published: ahead of `position` while lost events are published again."""
    stream_created: str | None
    """When the stream that holds the events was created; None: the relay has not seen it yet."""
    stream_sequence: int | None
    """Where in that stream the newest event is."""


class RelayLog:
    """The relay's view of PostgreSQL. It is the `LeaseStore` of the relay's leadership, too.

    Args:
        lease_connection: The connection for the lease alone, so that a slow read does not cost the leadership. An owner
            is its `session_name`: once PostgreSQL has no such session, anybody may take the lease.
    """

    def __init__(self, connection: DedicatedConnection, lease_connection: DedicatedConnection) -> None:
        self._connection = connection
        self._lease_connection = lease_connection

    async def acquire(self, owner: str, ttl_seconds: float) -> bool:
        """Take, or renew, the lease; see `LeaseStore`."""
        async with self._lease_connection.use() as connection:
            return await connection.fetchval(relay_statements.ACQUIRE_RELAY, owner, ttl_seconds) is not None

    async def release(self, owner: str) -> None:
        """Give the lease back; see `LeaseStore`."""
        async with self._lease_connection.use() as connection:
            await connection.execute(relay_statements.RELEASE_RELAY, owner)

    async def cursor(self, owner: str) -> RelayCursor | None:
        """How far the relay is; None: somebody else leads."""
        async with self._connection.use() as connection:
            row = await connection.fetchrow(relay_statements.RELAY_CURSOR, owner)
        return None if row is None else RelayCursor(*row)

    async def save_cursor(self, owner: str, saved: RelayCursor, cursor: RelayCursor) -> bool:
        """Write down how far the relay is, instead of what was saved last; False: `owner` no longer leads."""
        async with self._connection.use() as connection:
            row = await connection.fetchval(
                relay_statements.SAVE_RELAY_CURSOR, owner, saved.position, saved.work_position, *cursor
            )
        return row is not None

    async def position_before(self, instant: datetime) -> int:
        """The position behind which the log holds what happened since an instant."""
        async with self._connection.use() as connection:
            first, last = 0, await connection.fetchval(relay_statements.NEWEST_POSITION)
            # The log has no index by time, but is in its order.
            while first < last:
                middle = (first + last) // 2
                happened_at = await connection.fetchval(relay_statements.TIME_OF_NEXT_EVENT, middle)
                if happened_at is None or happened_at >= instant:
                    last = middle
                else:
                    first = middle + 1
        return int(first)

    async def document(self, position: int) -> str | None:
        """The event at a position, as it is published; None: there is none."""
        async with self._connection.use() as connection:
            document: str | None = await connection.fetchval(relay_statements.DOCUMENT, position)
        return document

    async def unpublished(self, position: int, *, limit: int, max_bytes: int) -> LogSlice:
        """The events behind a position, in order: at most `limit`, and `max_bytes` with what their work carries."""
        async with self._connection.use() as connection:
            rows = await connection.fetch(relay_statements.UNPUBLISHED, position, limit, max_bytes)
        candidates = rows[0]["candidates"] if rows else 0
        return LogSlice([_event(row) for row in rows], has_more=candidates == limit or candidates > len(rows))


def _event(row: Record) -> UnpublishedEvent:
    _, position, task_id, version, event_type, kind, document, must_stop, *rest = row
    work = None
    if rest[_PAYLOAD] is not None:
        work = WaitingWork._make(rest)
        work = work._replace(priority=PRIORITIES[work.priority])
    # One that only a newer store knows, which writes beside this one, is published all the same.
    known_type = _EVENT_TYPES.get(event_type, event_type)
    return UnpublishedEvent(position, task_id, version, known_type, kind, document, must_stop, work)
