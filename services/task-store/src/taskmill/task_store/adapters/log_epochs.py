"""The epochs of the log, as PostgreSQL knows them; see `domain.log_epoch`."""

from typing import NamedTuple

from asyncpg import Connection, Record

from taskmill.task_store.adapters.database import DedicatedConnection
from taskmill.task_store.adapters.database_url import plain_database_url
from taskmill.task_store.adapters.statements import BEGIN_UNDER_LOCK
from taskmill.task_store.domain.log_epoch import LogEpoch

_STANDING = """
SELECT coalesce((SELECT max(begin) FROM log_epochs), 0) AS epoch, greatest(
    (SELECT max(position) FROM task_events), (SELECT position FROM removed_events), (SELECT max(begin) FROM log_epochs)
) AS newest
"""

# Who goes on with what it knew of the epoch before has to connect again, and look.
_END_OTHER_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
    AND starts_with(application_name, 'taskmill ')
"""

_BEGIN = """
WITH begun AS (
    INSERT INTO log_epochs (begin, after, begun_at)
    SELECT 1000000 * greatest(
        ceil(extract(epoch FROM clock_timestamp()))::bigint, greatest($1::bigint, $2::bigint) / 1000000 + 1
    ), $1::bigint, clock_timestamp()
    RETURNING begin
), continued AS (
    SELECT begin, setval(pg_get_serial_sequence('task_events', 'position'), begin) FROM begun
), led AS (
    UPDATE relay_cursor
    SET owner = NULL, lease_until = NULL, work_position = greatest(work_position, position, $1::bigint)
)
SELECT begin FROM continued
"""


class LogStanding(NamedTuple):
    """How far the log is."""

    epoch: LogEpoch
    newest: int
    """The position of its newest event, or behind which its epoch begins; 0: nothing has happened yet."""


class LogEpochs:
    """Reads and begins epochs. Every method raises `DatabaseUnavailableError` when PostgreSQL is away.

    Args:
        connection: A connection for this alone.
    """

    def __init__(self, connection: DedicatedConnection) -> None:
        self._connection = connection

    async def standing(self) -> LogStanding:
        """How far the log is."""
        async with self._connection.use() as connection:
            return await log_standing(connection)

    async def begin(self, seen: LogStanding | None) -> LogEpoch:
        """Begin an epoch: what follows is told apart from all that was lost, and its work is dispatched anew.

        The work that the log asks for up to here counts as published, and executions of it do not count any more: the
        reconciler finds none in the streams, which are made anew, too. All who are connected have to connect again.

        Args:
            seen: How far a log is, of which this one lacks the end. If that epoch, or a later one, or that position has
                come meanwhile, there is nothing to do. None: it is known for certain that the log was set back.

        Returns:
            The epoch that it is now.
        """
        async with self._connection.use() as connection:
            await connection.execute(BEGIN_UNDER_LOCK)
            epoch, newest = await log_standing(connection)
            if seen is None or is_behind(LogStanding(epoch, newest), seen):
                await connection.fetch(_END_OTHER_SESSIONS)
                epoch = LogEpoch(
                    await connection.fetchval(_BEGIN, newest, 0 if seen is None else max(seen.newest, *seen.epoch))
                )
            await connection.execute("COMMIT")
            return epoch


async def log_standing(connection: "Connection[Record]") -> LogStanding:
    """How far the log is, by this connection."""
    row = await connection.fetchrow(_STANDING)
    assert row is not None  # noqa: S101  (a SELECT without FROM has a row)
    return LogStanding(LogEpoch(row["epoch"]), row["newest"])


def is_behind(standing: LogStanding, seen: LogStanding) -> bool:
    """Whether the log lacks what was published of it, or has not heard of an epoch: it was set back."""
    return standing.newest < seen.newest or standing.epoch < seen.epoch


async def say_restored(database_url: str) -> LogEpoch:
    """Have the log go on in a new epoch: the database is known to have been set back to an earlier state.

    Args:
        database_url: `postgresql://…` in any of the forms that `settings.TaskStoreSettings` understands.

    Raises:
        DatabaseUnavailableError: PostgreSQL is away.
    """
    connection = DedicatedConnection(plain_database_url(database_url), "epochs")
    try:
        return await LogEpochs(connection).begin(None)
    finally:
        await connection.close()
