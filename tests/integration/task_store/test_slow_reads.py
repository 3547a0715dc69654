import asyncio

import pytest

from taskmill.task_store.adapters import store_memory
from taskmill.task_store.adapters.database import SharedConnections, shared_connections
from taskmill.task_store.bootstrap import MAX_READ_CONNECTIONS
from tests.support.eventually import eventually
from tests.support.task_store import run_sql, store_with_client

SLEEPERS = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)' AND state = 'active'"


async def test_writes_do_not_wait_for_reads(database_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when what is remembered has to be read anew while no connection for reads is free."""
    made: dict[str, SharedConnections] = {}

    async def make(
        database_url: str, name: str, *, max_connections: int, timeout_seconds: float = 30
    ) -> SharedConnections:
        found = await shared_connections(
            database_url, name, max_connections=max_connections, timeout_seconds=timeout_seconds
        )
        made[name] = found
        return found

    monkeypatch.setattr("taskmill.task_store.bootstrap.shared_connections", make)
    monkeypatch.setattr(store_memory, "REFRESH_SECONDS", 0.001)
    async with store_with_client(database_url, nats_url) as store:
        sleepers = [
            asyncio.create_task(made["reader"].fetch("SELECT pg_sleep(30)")) for _ in range(MAX_READ_CONNECTIONS)
        ]

        async def are_asleep() -> bool:
            [row] = await run_sql(database_url, SLEEPERS)
            return bool(row["count"] == MAX_READ_CONNECTIONS)

        await eventually(are_asleep)
        await store.create()
        assert await are_asleep()
        for sleeper in sleepers:
            sleeper.cancel()
        await asyncio.gather(*sleepers, return_exceptions=True)
