"""Makes an API key without a gateway: the first one, before which a gateway that others reach does not start."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from taskmill.contracts.api_keys import CreateApiKey, Scope
from taskmill.contracts.key_text import new_key, read_key
from taskmill.task_store.adapters.api_key_rows import ApiKeyRows
from taskmill.task_store.adapters.database import shared_connections
from taskmill.task_store.adapters.schema import wait_for_schema
from taskmill.task_store.domain.api_keys import new_api_key
from taskmill.task_store.migrations import needed_revision

OPERATOR = "operator"
"""Who makes such a key: somebody who has the database."""


async def create_operator_key(
    database_url: str, name: str, scopes: Sequence[Scope], *, now: datetime, max_keys: int
) -> str:
    """Make a key and return it; nobody can read it again.

    Args:
        database_url: As asyncpg takes it.
        name: What it is for.
        scopes: What who has it may do.
        now: The time.
        max_keys: How many keys may be usable.

    Raises:
        StartError: PostgreSQL cannot be reached, or its schema is too old.
        TooManyApiKeysError: As many can be used as may.
        DatabaseUnavailableError: PostgreSQL does not take it now.
    """
    await wait_for_schema(database_url, needed_revision())
    text = new_key(now)
    parts = read_key(text)
    assert parts is not None  # noqa: S101 -- for the type checker
    request = CreateApiKey(id=parts.id, digest=parts.digest, name=name, scopes=list(scopes), created_by=OPERATOR)
    async with _rows(database_url, max_keys) as rows:
        await rows.add(new_api_key(request, now))
    return text


async def is_any_key_usable(database_url: str, now: datetime) -> bool:
    """Whether there is any key that is neither revoked nor expired.

    Raises:
        DatabaseUnavailableError: PostgreSQL does not say so now.
    """
    async with _rows(database_url, 0) as rows:
        return bool(await rows.page(behind="", limit=1, usable_at=now))


@asynccontextmanager
async def _rows(database_url: str, max_keys: int) -> AsyncIterator[ApiKeyRows]:
    connections = await shared_connections(database_url, "operator", max_connections=1)
    try:
        yield ApiKeyRows(connections, max_keys=max_keys)
    finally:
        await connections.close()
