"""A database of its own for each test, copied from one that was migrated once."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg


@asynccontextmanager
async def new_database(postgres_url: str, *, template: str = "template0") -> AsyncIterator[str]:
    """Yield the URL of a new database, a copy of the database named `template`; it is dropped at the end."""
    name = f"test_{uuid.uuid4().hex}"
    await _execute(postgres_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
    finally:
        await _execute(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')


@asynccontextmanager
async def migrated_template(postgres_url: str) -> AsyncIterator[str]:
    """Yield the name of a database with the newest schema and no rows, to be copied."""
    async with new_database(postgres_url) as url:
        # Here, so that only tests with a database wait for the import.
        from taskmill.task_store.migrations.steps import upgrade

        await asyncio.to_thread(upgrade, url)
        yield urlsplit(url).path.removeprefix("/")


async def _execute(postgres_url: str, statement: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
