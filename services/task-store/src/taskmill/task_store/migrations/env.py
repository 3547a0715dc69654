"""What Alembic executes to run the migrations: over asyncpg, in one transaction, under a lock of their own."""

import asyncio

import asyncpg
from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from taskmill.task_store.adapters.database_url import plain_database_url
from taskmill.task_store.adapters.models import Base

_MIGRATION_LOCK = 0x7461_736B_6D67


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, transaction_per_migration=False)
    with context.begin_transaction():
        # Two stores that are deployed at once both migrate: the second waits, and finds nothing to do.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        context.run_migrations()


async def _run() -> None:
    # Made here: SQLAlchemy would make another error of it when nobody is let in.
    made = await asyncpg.connect(plain_database_url(context.config.attributes["database_url"]))

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return made

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


asyncio.run(_run())
