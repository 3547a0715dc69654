"""Which revision the database's schema is at."""

import asyncpg

from taskmill.task_store.adapters.database import DedicatedConnection


async def schema_revision(own: DedicatedConnection) -> str | None:
    """The revision that the migrations left; None: they never ran.

    Raises:
        DatabaseUnavailableError: PostgreSQL cannot be asked.
    """
    async with own.use() as connection:
        try:
            revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
        except asyncpg.UndefinedTableError:
            return None
    return revision
