"""The task store's database, as those see it who look after it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from taskmill.cli.database_errors import DatabaseAwayError

_CONNECT_SECONDS = 3
_QUERY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """What a look at the database has found."""

    server_version: str
    revision: str | None
    """Of the schema; None: it has none."""
    clock_ahead_of_here: timedelta
    """By how much its clock goes ahead of this machine's; it is known to half of the time that the look took."""
    looked_for: timedelta
    """How long it took to ask for the time."""


@contextmanager
def driver_errors_told() -> Iterator[None]:
    """Have what the driver raises told as `DatabaseAwayError`."""
    try:
        yield
    except asyncpg.PostgresError as error:
        raise DatabaseAwayError(str(error)) from error
    except (OSError, asyncpg.InterfaceError) as error:
        raise DatabaseAwayError(type(error).__name__) from error


def look_at_database(url: str) -> DatabaseState:
    """Look at a database.

    Args:
        url: As asyncpg takes it.

    Raises:
        DatabaseAwayError: It does not answer.
    """
    with driver_errors_told():
        return asyncio.run(_look(url))


async def _look(url: str) -> DatabaseState:
    connection: Any = await asyncpg.connect(url, timeout=_CONNECT_SECONDS, command_timeout=_QUERY_SECONDS)
    try:
        version = await connection.fetchval("SHOW server_version")
        try:
            revision = await connection.fetchval("SELECT version_num FROM alembic_version")
        except asyncpg.UndefinedTableError:
            revision = None
        before = datetime.now(UTC)
        there = await connection.fetchval("SELECT clock_timestamp()")
        after = datetime.now(UTC)
    finally:
        await connection.close(timeout=_QUERY_SECONDS)
    return DatabaseState(str(version), revision, there - (before + (after - before) / 2), after - before)
