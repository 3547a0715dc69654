"""What a migration has to know of the database before it begins."""

import asyncio
from typing import NamedTuple

import asyncpg

from taskmill.task_store.adapters.database_url import plain_database_url

STORE_SESSION = "lease"
"""The name of the session that each task store always has open; the revision that it needs follows, and what tells it
from other stores."""

_PREFIX = f"taskmill {STORE_SESSION}"
"""As the session's connection writes it."""


class SchemaState(NamedTuple):
    """How a database stands."""

    revision: str | None
    """The newest revision that was run; None: none was."""
    stores: list[str]
    """Of each task store that is connected the revision that it needs; empty for one that does not say."""


def look_at_schema(database_url: str) -> SchemaState:
    """Look. Must not be called from within a running event loop."""
    return asyncio.run(_look(database_url))


async def _look(database_url: str) -> SchemaState:
    connection = await asyncpg.connect(plain_database_url(database_url))
    try:
        names = await connection.fetch(
            "SELECT application_name FROM pg_stat_activity "
            "WHERE datname = current_database() AND starts_with(application_name, $1)",
            _PREFIX,
        )
        has_run = await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
        revision = await connection.fetchval("SELECT max(version_num) FROM alembic_version") if has_run else None
    finally:
        await connection.close()
    return SchemaState(revision, [_revision_in(name) for (name,) in names])


def _revision_in(session_name: str) -> str:
    return next(iter(session_name.removeprefix(_PREFIX).split()), "")
