import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
from pydantic import SecretStr

from benchmarks.machine import server_directory
from taskmill.cli.embedded.postgres import PostgresServer
from taskmill.contracts import registry
from taskmill.contracts.errors import RemoteError, TaskmillError
from taskmill.contracts.streams import REPORTS_STREAM
from taskmill.runtime.errors import NoRespondersError
from taskmill.task_store.bootstrap import build
from taskmill.task_store.errors import SchemaTooOldError
from taskmill.task_store.migrations.steps import upgrade
from taskmill.task_store.settings import TaskStoreSettings
from tests.support.databases import new_database
from tests.support.eventually import eventually
from tests.support.task_store import (
    StoreClient,
    new_id,
    report,
    run_sql,
    running_store,
    store_client,
    store_with_client,
)


@asynccontextmanager
async def migrated_postgres() -> AsyncIterator[PostgresServer]:
    """Yield a PostgreSQL of this test's own, which it may stop and start."""
    with server_directory() as directory:
        server = PostgresServer(directory / "postgres")
        await server.start()
        await asyncio.to_thread(upgrade, server.url)
        try:
            yield server
        finally:
            await server.stop()


async def test_postgresql_away_and_back(nats_url: str) -> None:
    """Requests are told so at once, reports wait, and everything goes on by itself afterwards."""
    async with migrated_postgres() as postgres, store_with_client(postgres.url, nats_url) as store:
        task = await store.create(process=True)
        await store.published(2)
        await postgres.stop()

        assert await store.ask(registry.HEALTH) == {"postgresql": "down", "fleet": None}
        for command, fields in (
            (registry.GET, {"id": task["id"]}),
            (registry.LIST, {}),
            (registry.EVENTS, {"task_id": task["id"]}),
            (registry.ATTEMPTS, {"task_id": task["id"]}),
            (registry.CREATE, {"id": new_id(), "title": "x"}),
            (registry.PROCESS, {"id": task["id"]}),
        ):
            assert await store.refusal(command, **fields) == "database_unavailable"
        completed = report("completed", task["id"], result="kept")
        await store.publish_report(orjson.dumps({"processor_id": "processor-1", "reports": [completed]}))
        assert await store.count(REPORTS_STREAM) == 1

        await postgres.start()

        async def is_completed() -> bool:
            try:
                return bool((await store.get(task["id"]))["result"] == "kept")
            except (TaskmillError, NoRespondersError, TimeoutError):
                return False

        await eventually(is_completed, within_seconds=20)
        await store.reports_settled()
        texts = await store.event_texts(task["id"])
        assert [message.data for message in await store.published(4)] == texts


async def test_a_connection_that_breaks_is_replaced(store: StoreClient, database_url: str) -> None:
    """When PostgreSQL ends the store's connections, at most the next request fails."""
    task = await store.create(process=True)
    await store.get(task["id"])
    await run_sql(
        database_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name LIKE 'taskmill%' AND datname = current_database()",
    )

    refusals: set[str] = set()

    async def is_updated() -> bool:
        try:
            await store.ask(registry.UPDATE, id=task["id"], changes={"title": "new"})
        except RemoteError as error:
            refusals.add(error.problem().code)
            return False
        return True

    await eventually(is_updated)
    assert refusals <= {"database_unavailable"}
    assert (await store.get(task["id"]))["title"] == "new"
    await store.published(3)


async def test_a_request_waits_no_longer_than_its_deadline(store: StoreClient, database_url: str) -> None:
    """While somebody holds the lock of the log, writers are told to come again, and nothing hangs."""
    import asyncpg

    blocker = await asyncpg.connect(database_url)
    try:
        await blocker.execute("BEGIN; LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(5):
            code = await store.refusal(registry.CREATE, id=new_id(), title="x")
        assert code in {"database_unavailable", "overloaded"}
    finally:
        await blocker.close()
    assert (await store.create())["version"] == 1


async def test_a_store_refuses_an_older_schema(postgres_url: str, nats_url: str) -> None:
    """Before the migrations ran nothing is served, and the error says what to do."""
    async with new_database(postgres_url) as empty:
        settings = TaskStoreSettings(database_url=SecretStr(empty), nats_url=nats_url)
        with pytest.raises(SchemaTooOldError, match=r"python -m taskmill\.task_store migrate"):
            await build(settings)


async def test_a_store_serves_on_a_newer_schema(database_url: str, nats_url: str) -> None:
    """A migration leaves a schema that the release before it can work with: its stores go on."""
    await run_sql(database_url, "UPDATE alembic_version SET version_num = '9999'")
    async with store_with_client(database_url, nats_url) as store:
        assert (await store.create())["version"] == 1


async def test_what_was_answered_is_there_after_a_restart(database_url: str, nats_url: str) -> None:
    """A drained store leaves nothing behind: every answer that it gave was committed, and is published."""
    async with store_client(nats_url) as store:
        async with running_store(database_url, nats_url):
            answers = await asyncio.gather(*(store.create(process=True) for _ in range(50)))
        async with running_store(database_url, nats_url):
            for task in answers:
                assert await store.get(task["id"]) == task
            assert len(await store.published(100)) == 100
