import asyncio
import signal
from contextlib import AsyncExitStack
from typing import Any

import pytest
from structlog.testing import capture_logs

from taskmill.contracts import registry, subjects
from taskmill.task_store.actors import retention
from taskmill.task_store.domain import removal
from tests.support.eventually import eventually, holds
from tests.support.task_store import (
    StoreClient,
    logged,
    new_id,
    report,
    run_sql,
    running_store,
    store_client,
    store_process,
    store_with_client,
)

KEPT: dict[str, Any] = {
    "retention_completed_seconds": 3600,
    "retention_failed_seconds": 7200,
    "retention_cancelled_seconds": 3600,
}
AGED = """
UPDATE tasks SET created_at = created_at - interval '90 minutes', updated_at = updated_at - interval '90 minutes',
    finished_at = CASE WHEN finished_at IS NOT NULL THEN now() - interval '90 minutes' END
"""
COMPLETED_LONG_AGO = """
UPDATE tasks SET status = 'completed', created_at = now() - interval '2 hours', finished_at = now() - interval '2 hours'
"""
TITLES = "SELECT title FROM tasks ORDER BY title"
REMOVALS = """
SELECT task_id FROM task_events WHERE type = 'deleted' AND document::json -> 'data' ->> 'reason' = 'retention'
"""


async def one_of_each(store: StoreClient) -> dict[str, str]:
    """A task in each status, named after it; returns their ids."""
    ids = {}
    created: dict[str, dict[str, Any]] = {
        "cancelled": {},
        "completed": {"process": True},
        "completed by hand": {},
        "failed": {"process": True},
        "in progress": {"process": True},
        "pending": {},
        "queued": {"process": True},
        "scheduled": {"run_at": "2090-01-01T00:00:00Z"},
    }
    for title, fields in created.items():
        ids[title] = (await store.create(title=title, **fields))["id"]
    await store.ask(registry.CANCEL, id=ids["cancelled"])
    await store.ask(registry.UPDATE, id=ids["completed by hand"], changes={"status": "completed"})
    error = {"code": "handler_error", "type": "ValueError", "message": "no such page"}
    await store.report(
        report("started", ids["in progress"]),
        report("completed", ids["completed"], result=1),
        report("failed", ids["failed"], error=error),
    )
    return ids


async def titles(database_url: str) -> list[str]:
    """The titles of the tasks that there are."""
    return [row["title"] for row in await run_sql(database_url, TITLES)]


async def test_each_status_is_kept_for_its_own_time(database_url: str, nats_url: str) -> None:
    """What has not ended stays, however old; what is removed is told, with the reason, and is not there any more."""
    async with store_with_client(database_url, nats_url) as store:
        ids = await one_of_each(store)
    await run_sql(database_url, AGED)
    kept = ["failed", "in progress", "pending", "queued", "scheduled"]
    async with store_client(nats_url) as store, AsyncExitStack() as stack:
        stopped: list[object] = []
        store.session.subscribe(f"{subjects.PREFIX}.ctl.cancel.*", lambda *message: stopped.append(message))
        await stack.enter_async_context(running_store(database_url, nats_url, **KEPT))

        async def check_removed() -> None:
            assert await titles(database_url) == kept

        await holds(check_removed)
        for title in ("cancelled", "completed", "completed by hand"):
            assert await store.refusal(registry.GET, id=ids[title]) == "task_not_found"
            last = (await store.events(ids[title]))[-1]
            assert (last["type"], last["data"]["reason"]) == ("taskmill.task.deleted.v1", "retention")
        published = await store.published(len(await logged(database_url)))
        assert sum(b'"reason":"retention"' in message.data for message in published) == 3
        assert await titles(database_url) == kept
        # Of those that were executed, nobody has to stop.
        assert stopped == []


async def test_nothing_is_removed_unless_it_is_wanted(database_url: str, nats_url: str) -> None:
    """Out of the box, tasks are kept for ever."""
    async with store_with_client(database_url, nats_url) as store:
        await one_of_each(store)
    await run_sql(database_url, "UPDATE tasks SET created_at = '2001-01-01', finished_at = '2001-01-01'")
    async with store_with_client(database_url, nats_url) as store:
        # One that is made now goes through everything that the store does at its start.
        await store.create(title="new", process=True)
        await store.published(len(await logged(database_url)))
    assert len(await titles(database_url)) == 9


async def create_many(store: StoreClient, count: int) -> None:
    """Create tasks."""
    await store.ask(registry.CREATE_MANY, tasks=[{"id": new_id(), "title": f"{number:03}"} for number in range(count)])


async def test_many_are_removed_in_batches(database_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is one transaction; those in between that are younger stay, and hold nothing up. Their number is logged."""
    monkeypatch.setattr(retention, "MAX_TASKS_AT_ONCE", 20)
    async with store_with_client(database_url, nats_url) as store:
        await create_many(store, 110)
    young = "UPDATE tasks SET finished_at = now() WHERE title LIKE '%5'"
    await run_sql(database_url, COMPLETED_LONG_AGO, young)
    with capture_logs() as lines:
        async with store_with_client(database_url, nats_url, **KEPT) as store:
            for _ in range(3):
                # Others are served meanwhile.
                await store.create(title="new")

            async def check_removed() -> None:
                assert len(await titles(database_url)) == 11 + 3
                told = {"event": "retention.removed", "log_level": "info", "status": "completed", "tasks": 99}
                assert [line for line in lines if line["event"] == told["event"]] == [told]

            await holds(check_removed)
    batches = await run_sql(database_url, "SELECT count(*) FROM task_events WHERE type = 'deleted' GROUP BY xmin::text")
    assert sum(row["count"] for row in batches) == 99
    assert max(row["count"] for row in batches) <= 20


async def test_tasks_with_many_lines_are_removed_a_few_at_a_time(
    database_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others wait for a batch, and lines take longer to remove than tasks do. One that has too many leaves alone."""
    monkeypatch.setattr(removal, "MAX_LINES_AT_ONCE", 10)
    async with store_with_client(database_url, nats_url) as store:
        await create_many(store, 12)
    # The last two have more than may be removed at once.
    await run_sql(
        database_url,
        COMPLETED_LONG_AGO,
        "UPDATE tasks SET line_count = CASE WHEN title < '010' THEN 4 ELSE 5000 END",
    )
    async with running_store(database_url, nats_url, **KEPT):

        async def check_removed() -> None:
            assert await titles(database_url) == []

        await holds(check_removed)
    batches = await run_sql(database_url, "SELECT count(*) FROM task_events WHERE type = 'deleted' GROUP BY xmin::text")
    assert sorted(row["count"] for row in batches) == [1, 1, 2, 2, 2, 2, 2]


async def test_with_two_stores_each_is_removed_once(database_url: str, nats_url: str) -> None:
    """The one that leads does it; when it goes, the other."""
    async with store_with_client(database_url, nats_url) as store:
        await create_many(store, 300)
    await run_sql(database_url, COMPLETED_LONG_AGO)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(AsyncExitStack())
        await first.enter_async_context(running_store(database_url, nats_url, **KEPT))
        await stack.enter_async_context(running_store(database_url, nats_url, **KEPT))

        async def some_are_removed() -> bool:
            return len(await run_sql(database_url, REMOVALS)) > 0

        await eventually(some_are_removed)
        await first.aclose()

        async def check_removed() -> None:
            assert await titles(database_url) == []

        await holds(check_removed, within_seconds=20)
    removed = await run_sql(database_url, REMOVALS)
    assert len({row["task_id"] for row in removed}) == len(removed) == 300


@pytest.mark.parametrize(("failpoint", "removed"), [("store.before_commit:1", 0), ("store.after_commit:1", 100)])
async def test_a_store_dies_while_it_removes(database_url: str, nats_url: str, failpoint: str, removed: int) -> None:
    """Either a task and its event are both there, or it is gone and told; the next store does the rest."""
    async with store_with_client(database_url, nats_url) as store:
        await create_many(store, 150)
    await run_sql(database_url, COMPLETED_LONG_AGO)
    kept = {f"TASKMILL_{name.upper()}": str(seconds) for name, seconds in KEPT.items()}
    async with store_process(database_url, nats_url, failpoint, **kept) as process, asyncio.timeout(30):
        assert await process.wait() == -signal.SIGKILL
    assert len(await titles(database_url)) == 150 - removed
    assert len(await run_sql(database_url, REMOVALS)) == removed
    await run_sql(database_url, "UPDATE relay_cursor SET owner = NULL, lease_until = NULL")
    async with running_store(database_url, nats_url, **KEPT), store_client(nats_url) as store:
        published = await store.published(300)
        assert len([message for message in published if b'"retention"' in message.data]) == 150
    assert await titles(database_url) == []
