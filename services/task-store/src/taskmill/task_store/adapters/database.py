"""Connections to PostgreSQL, and what its errors mean."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import asyncpg
import structlog
from asyncpg import Connection, Record
from asyncpg.pool import PoolConnectionProxy

from taskmill.contracts.errors import DatabaseUnavailableError
from taskmill.runtime.errors import BatchRefusedError

_log = structlog.get_logger(__name__)

CONNECT_TIMEOUT_SECONDS = 3
COMMAND_TIMEOUT_SECONDS = 4

# Statements of these connections name their rows by key. Left to guess, the planner would read whole tables when they
# are young, and keep that plan while they grow.
_BY_KEY = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}

# A store that is suspended in the middle of a transaction must not hold the lock of the event log for ever.
_BOUNDED = {"lock_timeout": "3000", "idle_in_transaction_session_timeout": "5000"}

_CLASSES_OF_BAD_DATA = frozenset({"21", "22", "23", "54"})


@asynccontextmanager
async def translated_errors() -> AsyncIterator[None]:
    """Turn errors of asyncpg into ours, by SQLSTATE class and never by text.

    Raises:
        DatabaseUnavailableError: PostgreSQL is away, starting, stopping, overloaded, or too slow.
        BatchRefusedError: It refuses the data.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        sqlstate_class = (error.sqlstate or "")[:2]
        if sqlstate_class in _CLASSES_OF_BAD_DATA:
            _log.warning("database.refused_data", sqlstate=error.sqlstate, constraint=error.constraint_name)
            raise BatchRefusedError from error
        # Anything else ends with time: PostgreSQL starts or stops, is full or too slow, or its schema is being changed.
        _log.warning("database.unavailable", sqlstate=error.sqlstate)
        raise DatabaseUnavailableError from error
    except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError, TimeoutError) as error:
        # The third is what asyncpg raises on a connection that PostgreSQL has just ended.
        _log.warning("database.unavailable", error_type=type(error).__name__)
        raise DatabaseUnavailableError from error


class DedicatedConnection:
    """One connection that one actor uses alone, made when it is needed and again after it broke.

    Args:
        database_url: As asyncpg takes it.
        name: Appears in `pg_stat_activity`.
        is_commit_awaited: Whether a commit waits until it is safe on disk. Without it PostgreSQL may forget the last
            commits in a crash, in return for not waiting.
        is_planned_once: Whether a statement is planned once, whatever its parameters are. Left to choose, PostgreSQL
            plans one that reads by a list of keys anew whenever the list is short, and that takes twice as long as
            reading.

    Attributes:
        session_name: How PostgreSQL shows the connection in `pg_stat_activity`, to every role.
        on_connect: Called with each connection that is made, before it is used. What it raises is raised by `use`.
        on_end: Called when a connection that was used has ended, whoever ended it.
    """

    def __init__(
        self, database_url: str, name: str, *, is_commit_awaited: bool = True, is_planned_once: bool = False
    ) -> None:
        self.session_name = f"taskmill {name}"
        self.on_connect: Callable[[Connection[Record]], Awaitable[None]] | None = None
        self.on_end: Callable[[], None] | None = None
        self._database_url = database_url
        self._server_settings = {
            "application_name": self.session_name,
            "synchronous_commit": "on" if is_commit_awaited else "off",
            "plan_cache_mode": "force_generic_plan" if is_planned_once else "auto",
            **_BY_KEY,
            **_BOUNDED,
        }
        self._connection: Connection[Record] | None = None

    @asynccontextmanager
    async def use(self) -> AsyncIterator["Connection[Record]"]:
        """Yield the connection, outside of any transaction. One that fails inside is not used again.

        Raises:
            DatabaseUnavailableError: There is none to be had, or it broke.
            BatchRefusedError: PostgreSQL refused the data.
        """
        async with translated_errors():
            connection = await self._open()
            try:
                yield connection
            except BaseException:
                # Cheaper than to find out what state it is in, and right in every case: PostgreSQL rolls back.
                self._connection = None
                connection.terminate()
                raise

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)

    async def _open(self) -> "Connection[Record]":
        if self._connection is None or self._connection.is_closed():
            made = await asyncpg.connect(
                self._database_url,
                timeout=CONNECT_TIMEOUT_SECONDS,
                command_timeout=COMMAND_TIMEOUT_SECONDS,
                server_settings=self._server_settings,
            )
            if self.on_connect is not None:
                try:
                    await self.on_connect(made)
                except BaseException:
                    made.terminate()
                    raise
            if self.on_end is not None:
                made.add_termination_listener(self._note_end)
            self._connection = made
        return self._connection

    def _note_end(self, _connection: object) -> None:
        if self.on_end is not None:
            self.on_end()


class SharedConnections:
    """A few connections for statements that stand alone; each is made when it is needed.

    One of them stays at hand while nobody waits: to give it to the pool and to get it back costs this process as much
    as all the rest of reading a task.

    Args:
        pool: See `shared_connections`.
    """

    def __init__(self, pool: "asyncpg.Pool[Record]") -> None:
        self._pool = pool
        self._at_hand: PoolConnectionProxy[Record] | None = None
        self._waiting = 0
        self._is_closing = False

    async def fetch(self, statement: str, *arguments: object) -> list[Record]:
        """Execute a statement; return its rows.

        Raises:
            DatabaseUnavailableError: There is no connection to be had, or it broke.
            BatchRefusedError: PostgreSQL refused the data.
        """
        async with translated_errors():
            connection = await self._acquire()
            try:
                rows = await connection.fetch(statement, *arguments)
            except BaseException:
                # The pool waits until it can be used again, or has it replaced.
                await self._pool.release(connection)
                raise
            if self._at_hand is None and not self._waiting and not self._is_closing:
                self._at_hand = connection
            else:
                await self._pool.release(connection)
            return rows

    async def close(self) -> None:
        """Close the connections that there are, when whoever uses them has got its rows."""
        self._is_closing = True
        if self._at_hand is not None:
            connection, self._at_hand = self._at_hand, None
            await self._pool.release(connection)
        await self._pool.close()

    async def _acquire(self) -> "PoolConnectionProxy[Record]":
        connection, self._at_hand = self._at_hand, None
        if connection is not None:
            # One that has ended may have gone back by itself; then it cannot be asked, and is released once more.
            with suppress(asyncpg.InterfaceError):
                if not connection.is_closed():
                    return connection
            await self._pool.release(connection)
        self._waiting += 1
        try:
            return await self._pool.acquire(timeout=CONNECT_TIMEOUT_SECONDS)
        finally:
            self._waiting -= 1


async def shared_connections(
    database_url: str, name: str, *, max_connections: int, timeout_seconds: float = COMMAND_TIMEOUT_SECONDS
) -> SharedConnections:
    """Connections that several share; none is made yet.

    Args:
        database_url: As asyncpg takes it.
        name: Appears in `pg_stat_activity`.
        max_connections: How many there may be.
        timeout_seconds: How long a statement may take.
    """
    pool = await asyncpg.create_pool(
        database_url,
        min_size=0,
        max_size=max_connections,
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=timeout_seconds,
        reset=_keep_session,
        server_settings={"application_name": f"taskmill {name}"},
    )
    return SharedConnections(pool)


async def _keep_session(_connection: object) -> None:
    """Instead of the four statements with which asyncpg cleans a connection: a query leaves nothing behind in it."""
