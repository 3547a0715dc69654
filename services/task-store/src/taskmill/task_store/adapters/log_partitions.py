"""The parts of the log: a table for each month, in which its events are recorded."""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from asyncpg import Connection, Record

from taskmill.task_store.adapters.database import DedicatedConnection
from taskmill.task_store.adapters.statements import EVENT_LOG_LOCK
from taskmill.task_store.domain.months import Month

_LOCK_TIMEOUT = "200ms"
"""For so long at most all others wait who read or write the log, when it is being read just then."""

_SHORT_PATIENCE = f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"
_LOCK_LOG = f"SELECT pg_advisory_xact_lock({EVENT_LOG_LOCK})"
# Who writes usually waits for the one lock while it has the table already: what needs the table alone takes that first.
_LOCK_TABLE = "LOCK TABLE ONLY task_events IN ACCESS EXCLUSIVE MODE"

_PARTITIONS = """
SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'task_events'::regclass
"""
_NAME = re.compile(r"task_events_(\d{4,})_(\d\d)")

_STRAY_MONTHS = "SELECT DISTINCT date_trunc('month', recorded_at AT TIME ZONE 'UTC') AS start FROM task_events_default"

MAX_COPIED_EVENTS = 20_000
"""So many events get into the part of their month at once: within the time that a statement may take on a slow disk."""

# What is there of a month is always the first of its events, whoever is killed or comes second.
_KEEP_OUT_OTHERS = "LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE"
_COPY_STRAYS = """
INSERT INTO {name} SELECT * FROM task_events_default
WHERE position > coalesce((SELECT max(position) FROM {name}), 0) AND recorded_at >= $1 AND recorded_at < $2
ORDER BY position LIMIT $3
"""

_CREATE = """
CREATE TABLE IF NOT EXISTS {name} (
    LIKE task_events INCLUDING DEFAULTS,
    CONSTRAINT pk_{name} PRIMARY KEY (position),
    CONSTRAINT uq_{name} UNIQUE (task_id, version),
    CONSTRAINT of_{name} CHECK (recorded_at >= '{start}' AND recorded_at < '{end}')
)
"""
# With the constraint PostgreSQL need not read the table while everybody waits.
_ATTACH = """
ALTER TABLE task_events ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}');
ALTER TABLE {name} DROP CONSTRAINT of_{name}
"""

# Whoever publishes the log, or follows it by a row of its own, is behind a position when its cursor has come there.
_NEWEST_FOR_ALL = """
SELECT newest, newest IS NULL OR (
    newest <= (SELECT min(position) FROM relay_cursor)
    AND (followed.since IS NULL OR newest <= greatest(followed.since, (SELECT position FROM webhook_cursor)))
) AS is_for_all
FROM (SELECT max(position) AS newest FROM {name}) AS part,
    (SELECT min(since_position) AS since FROM webhooks WHERE is_enabled) AS followed
"""

_NOTE_REMOVAL = """
UPDATE removed_events SET position = greatest(position, $1), recorded_before = greatest(recorded_before, $2)
"""


class LogPartitions:
    """Makes them, and drops them. Every method raises `DatabaseUnavailableError` when PostgreSQL is away or busy.

    What changes the table takes the one lock, as all do who write the log.

    Args:
        connection: A connection for this alone.
    """

    def __init__(self, connection: DedicatedConnection) -> None:
        self._connection = connection

    async def months(self) -> list[Month]:
        """The months that have a part of the log, in order. The first may hold what is older, too."""
        async with self._connection.use() as connection:
            return await _months(connection)

    async def stray_months(self) -> list[Month]:
        """The months of events that are in none of these parts, because there was none for them when they came."""
        async with self._connection.use() as connection:
            return await _stray_months(connection)

    async def copy_strays(self) -> bool:
        """Copy events that are in none of these parts into tables that will be their parts; nobody waits for it.

        Returns:
            Whether there may be more: ask again before their parts are made.
        """
        months = await self.stray_months()
        if not months:
            return False
        async with self._changing() as connection:
            for month in months:
                await connection.execute(_CREATE.format(**_described(month)))
        async with self._connection.use() as connection:
            for month in months:
                async with connection.transaction():
                    await connection.execute(_KEEP_OUT_OTHERS.format(name=_name(month)))
                    if await _copy_strays(connection, month, limit=MAX_COPIED_EVENTS) == MAX_COPIED_EVENTS:
                        return True
        return False

    async def make(self, months: Iterable[Month]) -> list[Month]:
        """Make the parts of months that have none, each with the events of that month that came before it was there.

        Args:
            months: Among them all that have strays, which were copied before, but for a few; none may be one of those
                whose events the first part holds.

        Returns:
            Those that were made: none, if there are strays of yet another month.
        """
        async with self._changing() as connection:
            there = await _months(connection)
            missing = [month for month in months if month not in there]
            strays = await _stray_months(connection)
            if not set(missing).issuperset(strays):
                return []
            for month in missing:
                await connection.execute(_CREATE.format(**_described(month)))
                # All that came since, for nothing else is left of them.
                await _copy_strays(connection, month, limit=None)
            if strays:
                await connection.execute("TRUNCATE task_events_default")
            for month in missing:
                await connection.execute(_ATTACH.format(**_described(month)))
        return missing

    async def drop(self, month: Month) -> int | None:
        """Drop the part of a month, with its events, and note up to where the log is removed.

        Returns:
            The position of its last event, 0 if it had none; None: it stays, for some of them are not published yet.
        """
        name = _name(month)
        async with self._changing(_LOCK_TABLE) as connection:
            row = await connection.fetchrow(_NEWEST_FOR_ALL.format(name=name))
            assert row is not None  # noqa: S101  (an aggregate always has one)
            if not row["is_for_all"]:
                return None
            newest: int = row["newest"] or 0
            if newest:
                await connection.execute(_NOTE_REMOVAL, newest, month.end)
            await connection.execute(f"DROP TABLE {name}")
        return newest

    @asynccontextmanager
    async def _changing(self, *first: str) -> AsyncIterator["Connection[Record]"]:
        async with self._connection.use() as connection, connection.transaction():
            for statement in (_SHORT_PATIENCE, *first, _LOCK_LOG):
                await connection.execute(statement)
            yield connection


def _name(month: Month) -> str:
    return f"task_events_{month.year:04}_{month.number:02}"


async def _months(connection: "Connection[Record]") -> list[Month]:
    names = [_NAME.fullmatch(row["relname"]) for row in await connection.fetch(_PARTITIONS)]
    return sorted(Month(int(name[1]), int(name[2])) for name in names if name is not None)


async def _stray_months(connection: "Connection[Record]") -> list[Month]:
    return [Month(row["start"].year, row["start"].month) for row in await connection.fetch(_STRAY_MONTHS)]


async def _copy_strays(connection: "Connection[Record]", month: Month, *, limit: int | None) -> int:
    copied = await connection.execute(_COPY_STRAYS.format(name=_name(month)), month.start, month.end, limit)
    return int(copied.rpartition(" ")[2])


def _described(month: Month) -> dict[str, str]:
    return {"name": _name(month), "start": month.start.isoformat(), "end": month.end.isoformat()}
