"""Tasks that handlers submit, on a real PostgreSQL: exactly one, whoever dies, and whatever comes out of turn."""

from typing import Any

import orjson
import pytest

from taskmill.contracts import registry
from tests.support.eventually import eventually, holds
from tests.support.task_store import (
    Document,
    StoreClient,
    new_id,
    report,
    run_sql,
    running_store,
    store_client,
    store_process,
    store_with_client,
)


def submitted(task_id: str, child_id: str, *, number: int = 1, **fields: Any) -> Document:
    """A report of a task that a handler submits."""
    task = {"id": child_id, "title": "Another", "process": True, **fields}
    return report("submitted", task_id, number=number, task=task)


async def running(store: StoreClient, **fields: Any) -> str:
    """A task in progress."""
    task = await store.create(process=True, **fields)
    await store.report(report("started", task["id"]))
    return str(task["id"])


async def test_a_submitted_task_is_as_one_that_a_client_made(store: StoreClient) -> None:
    """Its events and its work go out; a bundle that comes again adds nothing."""
    task_id, child_id = await running(store), new_id()
    bundle = [submitted(task_id, child_id, payload={"a": "ä"}, queue="new"), report("completed", task_id, submitted=1)]
    for _ in range(2):
        await store.report(*bundle)
    child = await store.get(child_id)
    assert (child["status"], child["payload"], child["queue"], child["revision"]) == ("queued", {"a": "ä"}, "new", 1)
    assert await store.event_types(child_id) == ["created", "queued"]
    assert (await store.get(task_id))["status"] == "completed"

    async def check_work() -> None:
        assert [item["task_id"] for item in await store.work_items()] == [task_id, child_id]

    await holds(check_work)


async def test_a_submitted_task_that_was_deleted_is_not_made_again(store: StoreClient) -> None:
    """By the next execution of its run, which comes to the same id."""
    task_id, child_id = await running(store), new_id()
    await store.report(submitted(task_id, child_id, process=False))
    await store.ask(registry.DELETE, id=child_id)
    await store.report(report("started", task_id, delivery=2), {**submitted(task_id, child_id), "delivery": 2})
    assert await store.refusal(registry.GET, id=child_id) == "task_not_found"
    assert await store.event_types(child_id) == ["created", "deleted"]


async def test_a_submitted_task_whose_events_were_removed_exists(store: StoreClient, database_url: str) -> None:
    """The log is not kept for ever, and a run may take longer than that."""
    old_id = "01890a5d-ac96-774b-bcce-b302099a8057"
    task_id = await running(store)
    await store.report(submitted(task_id, old_id, process=False))
    await run_sql(database_url, f"DELETE FROM task_events WHERE task_id = '{old_id}'")  # noqa: S608
    again = {**submitted(task_id, old_id), "delivery": 2}
    await store.report(
        report("started", task_id, delivery=2), again, report("completed", task_id, delivery=2, submitted=1)
    )
    assert ((await store.get(old_id))["status"], (await store.get(task_id))["status"]) == ("pending", "completed")


async def test_an_end_that_comes_first_waits_for_what_was_submitted(store: StoreClient) -> None:
    """As when a store dies that had the bundle before in hand."""
    task_id, child_id = await running(store), new_id()
    end = {"processor_id": "processor-1", "reports": [report("completed", task_id, submitted=1)]}
    await store.publish_report(orjson.dumps(end))
    await store.reports_looked_at()
    assert (await store.get(task_id))["status"] == "in_progress"
    await store.report(submitted(task_id, child_id))
    assert (await store.get(task_id))["status"] == "completed"
    assert (await store.get(child_id))["status"] == "queued"


@pytest.mark.parametrize("failpoint", ["store.before_commit:1", "reports.applied:1"])
async def test_a_store_that_dies_loses_no_submitted_task(database_url: str, nats_url: str, failpoint: str) -> None:
    """The next one takes the bundle in, or finds that it is."""
    child_id = new_id()
    async with store_with_client(database_url, nats_url) as store:
        task_id = await running(store)
    bundle = {
        "processor_id": "processor-1",
        "reports": [submitted(task_id, child_id), report("completed", task_id, submitted=1)],
    }
    async with store_client(nats_url) as store, store_process(database_url, nats_url, failpoint) as process:
        await store.publish_report(orjson.dumps(bundle))
        await eventually(lambda: process.returncode is not None, within_seconds=20)
    async with running_store(database_url, nats_url), store_client(nats_url) as store:

        async def check_taken_in() -> None:
            await store.reports_settled()
            assert (await store.get(task_id))["status"] == "completed"

        await holds(check_taken_in, within_seconds=20)
        assert await store.event_types(child_id) == ["created", "queued"]
        assert {task["id"] for task in (await store.ask(registry.LIST))["items"]} == {task_id, child_id}
