import asyncio
import os
import sys
import uuid
from urllib.parse import urlsplit

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from taskmill.task_store.adapters.models import Base
from taskmill.task_store.migrations import newest_revision
from taskmill.task_store.migrations.steps import downgrade, upgrade
from tests.support.databases import new_database
from tests.support.eventually import eventually
from tests.support.task_store import run_sql

OLD_TASK = """
INSERT INTO tasks (id, title, kind, queue, priority, labels, status, is_run_active, version, revision, run, attempt,
    dispatch, delivery, created_at, updated_at, payload, result)
VALUES ($1, 'old', 'echo', 'default', 'medium', '{}', $2, $3, 1, 1, 1, $4, 1, 0, now(), now(), 'null', 'null')
"""
"""How a store of the first schema writes a task."""

OLD_ATTEMPTS = """
INSERT INTO task_attempts (task_id, attempt, run, delivery, queued_at, outcome)
SELECT id, attempt, run, delivery, created_at, CASE status WHEN 'completed' THEN status END FROM tasks
"""
"""How it writes their attempts, before they end and then."""


def is_no_partition(name: str | None, kind: str, _parents: object) -> bool:
    """Whether the models speak of it: they know the partitioned table, and not its parts."""
    return kind != "table" or name is None or not name.startswith("task_events_")


def differences(connection: Connection) -> list[object]:
    """What Alembic would change to bring the database in line with the models."""
    context = MigrationContext.configure(
        connection,
        opts={"compare_type": True, "compare_server_default": True, "include_name": is_no_partition},
    )
    found: list[object] = compare_metadata(context, Base.metadata)
    return found


async def model_differences(database_url: str) -> list[object]:
    """The same, for a database by its URL."""
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(database_url), poolclass=NullPool
    )
    async with engine.connect() as connection:
        found = await connection.run_sync(differences)
    await engine.dispose()
    return found


async def table_names(database_url: str) -> set[str]:
    """The tables that there are, without the parts of others."""
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
            "AND NOT relispartition"
        )
        return {row["relname"] for row in rows}
    finally:
        await connection.close()


async def test_up_down_and_up_again(postgres_url: str) -> None:
    """Every migration can be undone and done again; nothing but Alembic's own table is left in between."""
    async with new_database(postgres_url) as url:
        await asyncio.to_thread(upgrade, url)
        assert await table_names(url) == {*Base.metadata.tables, "alembic_version"}
        await asyncio.to_thread(downgrade, url)
        assert await table_names(url) == {"alembic_version"}
        await asyncio.to_thread(upgrade, url)
        assert await model_differences(url) == []


async def test_migrating_again_changes_nothing(database_url: str) -> None:
    """An up-to-date database is left as it is, whatever form its address has."""
    await asyncio.to_thread(upgrade, database_url.replace("postgresql://", "postgresql+asyncpg://"))
    assert await model_differences(database_url) == []


async def migrate_process(database_url: str) -> int:
    """Run the command that operators run; return its exit code."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "taskmill.task_store", "migrate"),
        env={**os.environ, "TASKMILL_DATABASE_URL": database_url},
    )
    return await process.wait()


async def test_two_may_migrate_at_once(postgres_url: str) -> None:
    """Of two stores that are deployed together, one migrates, and the other finds it done."""
    async with new_database(postgres_url) as url:
        assert not any(await asyncio.gather(migrate_process(url), migrate_process(url)))
        connection = await asyncpg.connect(url)
        try:
            assert await connection.fetchval("SELECT version_num FROM alembic_version") == newest_revision()
            assert await connection.fetchval("SELECT count(*) FROM relay_cursor") == 1
        finally:
            await connection.close()


async def failed_migration(database_url: str) -> str:
    """Migrate where it is not possible; return the one line that is said of it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "taskmill.task_store", "migrate"),
        env={**os.environ, "TASKMILL_DATABASE_URL": database_url},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 1, errors
    [line] = errors.decode().splitlines()
    return line


async def test_migrating_without_a_server_is_a_clear_failure() -> None:
    """It is said where nobody is, and which variable says so, without the password."""
    line = await failed_migration("postgresql://user:secret@127.0.0.1:1/tasks")
    assert line == "PostgreSQL at 127.0.0.1:1 (TASKMILL_DATABASE_URL) cannot be reached: ConnectionRefusedError"


async def test_migrating_without_a_database_is_a_clear_failure(postgres_url: str) -> None:
    """It has to be created before."""
    line = await failed_migration(urlsplit(postgres_url)._replace(path="/nowhere").geturl())
    assert line.startswith("PostgreSQL at ")
    assert line.endswith(" (TASKMILL_DATABASE_URL) cannot be reached: InvalidCatalogNameError")


async def test_tasks_of_the_first_schema_are_taken_over(postgres_url: str) -> None:
    """What waits is counted, and a run that goes on has the one attempt that it was begun with."""
    async with new_database(postgres_url) as url:
        await asyncio.to_thread(upgrade, url, "0001")
        connection = await asyncpg.connect(url)
        try:
            await connection.execute("INSERT INTO queues VALUES ('default', now()), ('web', now())")
            for status, is_run_active, attempt in (
                ("queued", True, 3),
                ("in_progress", True, 2),
                ("scheduled", True, 1),
                ("completed", False, 1),
            ):
                await connection.execute(OLD_TASK, uuid.uuid4(), status, is_run_active, attempt)
            await connection.execute(OLD_ATTEMPTS)
            await asyncio.to_thread(upgrade, url)
            # A store of the release before still writes.
            await connection.execute(OLD_TASK, uuid.uuid4(), "pending", False, 0)
            waiting = await connection.fetch("SELECT name, waiting FROM queues ORDER BY name")
            assert [tuple(row) for row in waiting] == [("default", 2), ("web", 0)]
            counted = await connection.fetch(
                "SELECT name, queued_medium, queued_low, in_progress FROM queues ORDER BY name"
            )
            assert [tuple(row) for row in counted] == [("default", 1, 0, 1), ("web", 0, 0, 0)]
            limits = await connection.fetch("SELECT status, attempt_limit FROM tasks ORDER BY status")
            assert [tuple(row) for row in limits] == [
                ("completed", 0),
                ("in_progress", 2),
                ("pending", 0),
                ("queued", 3),
                ("scheduled", 1),
            ]
            # One that goes on is in its task's row alone.
            outcomes = await connection.fetch("SELECT outcome FROM task_attempts")
            assert [row["outcome"] for row in outcomes] == ["completed"]
            await connection.execute("DELETE FROM tasks")
            await asyncio.to_thread(downgrade, url, "0020")
            assert await connection.fetchval("SELECT count(*) FROM task_attempts") == 0
        finally:
            await connection.close()


STEP_WAITS = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


async def test_attempts_lose_their_key_while_a_writer_is_at_work(postgres_url: str) -> None:
    """It has read tasks, and comes to their attempts later: the step waits for it, and is not in its way."""
    task_id = uuid.uuid4()
    async with new_database(postgres_url) as url:
        await asyncio.to_thread(upgrade, url)
        await asyncio.to_thread(downgrade, url, "0020")
        writer = await asyncpg.connect(url)
        try:
            await writer.execute("BEGIN")
            await writer.execute(OLD_TASK, task_id, "in_progress", True, 1)
            step = asyncio.create_task(asyncio.to_thread(upgrade, url))
            await eventually(lambda: run_sql(url, STEP_WAITS))
            await writer.execute(OLD_ATTEMPTS)
            await writer.execute("COMMIT")
            await step
        finally:
            await writer.close()


OLD_EVENT = """
INSERT INTO task_events (task_id, version, type, kind, dispatch, document) VALUES ($1, $2, 'created', 'echo', NULL, $3)
"""
"""How a store writes an event, before and after the log is kept by month."""

EVENTS = "SELECT position, task_id, version, type, kind, dispatch, document FROM task_events ORDER BY position"


async def test_events_are_carried_over_into_months_and_back(postgres_url: str) -> None:
    """Each stays as it is, in its place; the next ones come behind them, also from a store of the release before."""
    task_id = uuid.uuid4()
    async with new_database(postgres_url) as url:
        await asyncio.to_thread(upgrade, url, "0003")
        connection = await asyncpg.connect(url)
        try:
            writing = await connection.prepare(OLD_EVENT)
            for version in range(1, 1001):
                await writing.fetch(task_id, version, f'{{"sequence": {version}}}')
            # The newest one is gone, and was told: its position is not given out again.
            await connection.execute("DELETE FROM task_events WHERE position = 1000")
            before = await connection.fetch(EVENTS)

            await asyncio.to_thread(upgrade, url)
            assert await connection.fetch(EVENTS) == before
            await writing.fetch(task_id, 1001, "{}")
            assert await connection.fetchval("SELECT max(position) FROM task_events") == 1001
            with pytest.raises(asyncpg.UniqueViolationError):
                await connection.execute(OLD_EVENT, task_id, 7, "{}")
            assert await connection.fetchval("SELECT count(*) FROM task_events_default") == 0

            after = await connection.fetch(EVENTS)
            await asyncio.to_thread(downgrade, url, "0003")
            assert await connection.fetch(EVENTS) == after
            await connection.execute(OLD_EVENT, task_id, 1003, "{}")
            assert await connection.fetchval("SELECT max(position) FROM task_events") == 1003
            await asyncio.to_thread(upgrade, url)
            assert len(await connection.fetch(EVENTS)) == len(after) + 1
        finally:
            await connection.close()


async def test_the_log_is_written_on_while_it_is_migrated(postgres_url: str) -> None:
    """A store of the release before loses nothing, and finds the new table by itself."""
    written = 0
    is_migrated = asyncio.Event()

    async def write(url: str) -> None:
        nonlocal written
        connection = await asyncpg.connect(url)
        try:
            statement = await connection.prepare(OLD_EVENT)
            task_id = uuid.uuid4()
            while not is_migrated.is_set() or written % 100:
                written += 1
                await statement.fetch(task_id, written, "{}")
        finally:
            await connection.close()

    async with new_database(postgres_url) as url:
        await asyncio.to_thread(upgrade, url, "0003")
        async with asyncio.TaskGroup() as group:
            group.create_task(write(url))
            await asyncio.to_thread(upgrade, url)
            is_migrated.set()
        connection = await asyncpg.connect(url)
        try:
            positions = [row["position"] for row in await connection.fetch(EVENTS)]
        finally:
            await connection.close()
    assert len(positions) == written > 0
    assert len(set(positions)) == written
