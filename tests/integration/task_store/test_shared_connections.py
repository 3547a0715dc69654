import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from taskmill.contracts.errors import DatabaseUnavailableError
from taskmill.runtime.errors import BatchRefusedError
from taskmill.task_store.adapters.database import SharedConnections, shared_connections
from tests.support.eventually import eventually
from tests.support.task_store import run_sql

BACKEND = "SELECT pg_backend_pid() AS pid"
SLEEPERS = "SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)' AND state = 'active'"
CONNECTED = "SELECT pid FROM pg_stat_activity WHERE application_name = 'taskmill test'"


@pytest_asyncio.fixture
async def one(database_url: str) -> AsyncIterator[SharedConnections]:
    """A single connection that several share. That it can be closed at the end is tested, too."""
    connections = await shared_connections(database_url, "test", max_connections=1)
    yield connections
    async with asyncio.timeout(5):
        await connections.close()


async def backend(connections: SharedConnections) -> int:
    """Which process of PostgreSQL answers."""
    [row] = await connections.fetch(BACKEND)
    return int(row["pid"])


async def test_a_connection_that_stays_at_hand_is_kept_from_nobody(one: SharedConnections) -> None:
    """Whoever waits for it gets it, however many do; it is the same one all the time."""
    first = await backend(one)
    assert await asyncio.gather(*(backend(one) for _ in range(30))) == [first] * 30


async def test_a_query_that_is_given_up_or_refused_harms_no_other(one: SharedConnections, database_url: str) -> None:
    """It ends, and the next one is answered by its own rows."""

    async def sleepers() -> list[int]:
        return [row["pid"] for row in await run_sql(database_url, SLEEPERS)]

    for _ in range(3):
        sleeper = asyncio.create_task(one.fetch("SELECT pg_sleep(30)"))
        await eventually(sleepers)
        sleeper.cancel()
        assert (await one.fetch("SELECT 7 AS seven"))[0]["seven"] == 7
        assert await sleepers() == []
        with pytest.raises(BatchRefusedError):
            await one.fetch("SELECT 1 / 0")


async def test_they_are_closed_when_what_is_under_way_has_ended(database_url: str) -> None:
    """Also a connection that would else stay at hand."""
    connections = await shared_connections(database_url, "test", max_connections=1)
    asked = asyncio.create_task(connections.fetch("SELECT pg_sleep(0.2)"))
    await eventually(lambda: run_sql(database_url, CONNECTED))
    async with asyncio.timeout(3):
        await connections.close()
    assert len(await asked) == 1


async def test_a_connection_that_postgresql_has_ended_is_replaced(one: SharedConnections, database_url: str) -> None:
    """While it was at hand, too."""
    ended = await backend(one)
    await run_sql(database_url, f"SELECT pg_terminate_backend({ended})")

    async def is_answered() -> int | None:
        try:
            return await backend(one)
        except DatabaseUnavailableError:
            return None

    assert await eventually(is_answered) != ended
