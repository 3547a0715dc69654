"""Which revision the database's schema is at, and whether that will do."""

import asyncio

import asyncpg

from taskmill.contracts.errors import DatabaseUnavailableError
from taskmill.runtime.backoff import Backoff
from taskmill.runtime.errors import StartError
from taskmill.task_store.adapters.database import DedicatedConnection
from taskmill.task_store.adapters.database_url import database_place
from taskmill.task_store.errors import SchemaTooOldError

DATABASE_WAIT_SECONDS = 60
"""How long the start waits for a PostgreSQL that is starting, too."""


async def wait_for_schema(database_url: str, needed: str, *, within_seconds: float = DATABASE_WAIT_SECONDS) -> None:
    """Return when PostgreSQL answers and its schema is not older than a revision.

    A newer schema is fine: a migration leaves a schema that the release before it can work with.

    Args:
        database_url: As asyncpg takes it.
        needed: The revision.
        within_seconds: How long PostgreSQL may take to answer.

    Raises:
        SchemaTooOldError: It is older.
        StartError: PostgreSQL does not answer, or not as it should, such as with a certificate that is not trusted.
    """
    connection = DedicatedConnection(database_url, "schema")
    causes = ["TimeoutError"]
    try:
        async with asyncio.timeout(within_seconds):
            found = await _revision_when_reachable(connection, causes)
    except TimeoutError:
        place = database_place(database_url)
        what = f"could not be used within {within_seconds:g} s ({causes[-1]})"
        raise StartError(f"PostgreSQL at {place} (TASKMILL_DATABASE_URL) {what}") from None
    finally:
        await connection.close()
    if found is None or found < needed:
        raise SchemaTooOldError(found, needed)


async def _revision_when_reachable(connection: DedicatedConnection, causes: list[str]) -> str | None:
    backoff = Backoff(base_seconds=0.1, cap_seconds=2)
    while True:
        try:
            return await _revision(connection)
        except DatabaseUnavailableError as error:
            causes.append(type(error.__cause__).__name__)
            await asyncio.sleep(backoff.next())


async def _revision(own: DedicatedConnection) -> str | None:
    """The revision that the migrations left; None: they never ran."""
    async with own.use() as connection:
        try:
            revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
        except asyncpg.UndefinedTableError:
            return None
    return revision
