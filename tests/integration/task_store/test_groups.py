"""Groups on a real PostgreSQL: one outcome, and what follows it, once."""

import asyncio
import signal
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from taskmill.contracts import registry
from taskmill.contracts.errors import UnavailableError
from taskmill.runtime.errors import NoRespondersError
from tests.support.eventually import eventually, holds
from tests.support.executor import running_executor
from tests.support.task_store import (
    Document,
    StoreClient,
    new_id,
    report,
    run_sql,
    running_store,
    store_client,
    store_process,
)

ERROR = {"code": "handler_error", "type": None, "message": "no such page"}
FOLLOW_UPS = ("on_completed", "on_failed")


def new_task(**fields: Any) -> Document:
    """A task that is to be made."""
    return {"id": new_id(), "title": "one of many", **fields}


async def create(store: StoreClient, count: int, **fields: Any) -> tuple[Document, list[str]]:
    """Make a group that is processed, with tasks for both outcomes; return it, and the ids of its tasks."""
    tasks = [new_task(process=True) for _ in range(count)]
    follow_ups = {name: new_task() for name in FOLLOW_UPS}
    group = await store.ask(registry.CREATE_GROUP, id=new_id(), title="many", tasks=tasks, **follow_ups, **fields)
    assert [group[f"{name}_id"] for name in FOLLOW_UPS] == [task["id"] for task in follow_ups.values()]
    return group, [task["id"] for task in tasks]


async def end(store: StoreClient, task_ids: Sequence[str], status: str = "completed") -> None:
    """Have first attempts end."""
    error: Document = {"error": ERROR} if status == "failed" else {}
    await store.report(*(report(status, task_id, **error) for task_id in task_ids))


async def settled(store: StoreClient, group: Document, *, within_seconds: float = 5) -> Document:
    """Return a group once it has its outcome."""

    async def look() -> Document:
        found = await store.ask(registry.GET_GROUP, id=group["id"])
        assert found["status"] != "open", found
        return found

    return await holds(look, within_seconds=within_seconds)


async def statuses(store: StoreClient, group: Document) -> list[str]:
    """Where the tasks for the outcomes stand."""
    return [(await store.get(group[f"{name}_id"]))["status"] for name in FOLLOW_UPS]


async def test_a_task_is_processed_when_all_are_completed(store: StoreClient) -> None:
    """Not before; the one for the other outcome is cancelled. The group tells how far it is."""
    group, task_ids = await create(store, 4)
    assert (group["status"], group["total"], group["progress"], group["settled_at"]) == ("open", 4, 0, None)
    assert group["counts"]["queued"] == 4
    assert await statuses(store, group) == ["scheduled", "scheduled"]
    waiting = (await store.get(group["on_completed_id"]))["waiting_for"]
    assert waiting == {"reason": "dependencies", "until": None, "after": []}
    await end(store, task_ids[:3])
    found = await store.ask(registry.GET_GROUP, id=group["id"])
    assert (found["status"], found["progress"], found["counts"]["completed"]) == ("open", 0.75, 3)
    await store.ask(registry.DELETE, id=task_ids[0])
    await end(store, task_ids[3:])
    found = await settled(store, group)
    assert (found["status"], found["progress"]) == ("completed", 1)
    assert (found["counts"]["completed"], found["counts"]["removed"]) == (3, 1)
    assert await statuses(store, group) == ["queued", "cancelled"]
    assert await store.event_types(group["on_completed_id"]) == ["created", "scheduled", "queued"]


@pytest.mark.parametrize("ending", ["failed", "cancelled", "deleted"])
async def test_a_task_is_processed_as_soon_as_one_is_not_completed(store: StoreClient, ending: str) -> None:
    """The others go on; the outcome stays, though all are completed in the end."""
    group, task_ids = await create(store, 3)
    match ending:
        case "failed":
            await end(store, task_ids[:1], "failed")
        case "cancelled":
            await store.ask(registry.CANCEL, id=task_ids[0])
        case _:
            await store.ask(registry.DELETE, id=task_ids[0], force=True)
    assert (await settled(store, group))["status"] == "failed"
    assert await statuses(store, group) == ["cancelled", "queued"]
    await end(store, task_ids[1:])
    if ending == "failed":
        await store.ask(registry.PROCESS, id=task_ids[0])
        await store.report(report("completed", task_ids[0], attempt=2, dispatch=2))
    found = await store.ask(registry.GET_GROUP, id=group["id"])
    assert (found["status"], found["counts"]["completed"]) == ("failed", 3 if ending == "failed" else 2)
    assert await store.event_types(group["on_failed_id"]) == ["created", "scheduled", "queued"]


async def test_a_group_is_made_whole_or_not_at_all(store: StoreClient, database_url: str) -> None:
    """And once for its key; its tasks are found by it, those for its outcomes are not among them."""
    before = await store.create(process=True)
    bad = [new_task(process=True), new_task(after=[before["id"], new_id()])]
    refused = await store.problem(registry.CREATE_GROUP, id=new_id(), title="g", tasks=bad)
    assert [error.pointer for error in refused.errors] == ["/tasks/1/after/1"]
    key = {"key": "k", "fingerprint": "0" * 64}
    group, task_ids = await create(store, 2, idempotency=key)
    again = {"id": new_id(), "title": "many", "tasks": [new_task()], "idempotency": key}
    assert await store.ask(registry.CREATE_GROUP, **again) == group
    assert (
        await store.refusal(registry.CREATE_GROUP, id=group["id"], title="g", tasks=[new_task()]) == "invalid_request"
    )
    page = await store.ask(registry.LIST, filter={"group_id": group["id"]})
    assert {task["id"] for task in page["items"]} == set(task_ids)
    assert {task["group_id"] for task in page["items"]} == {group["id"]}
    assert (await store.events(task_ids[0]))[0]["data"]["group_id"] == group["id"]
    assert len(await run_sql(database_url, "SELECT id FROM tasks")) == 5
    assert await store.refusal(registry.GET_GROUP, id=new_id()) == "group_not_found"


async def test_groups_are_listed_newest_first(store: StoreClient) -> None:
    """Page by page, each with its counts."""
    groups = [(await create(store, 1))[0] for _ in range(5)]
    found: list[Document] = []
    cursor = None
    while cursor is not None or not found:
        page = await store.ask(registry.LIST_GROUPS, limit=2, cursor=cursor)
        found += page["items"]
        cursor = page["next_cursor"]
    assert found == groups[::-1]
    assert await store.refusal(registry.LIST_GROUPS, cursor="no") == "invalid_request"


async def test_a_group_is_forgotten_some_time_after_it_was_settled(database_url: str, nats_url: str) -> None:
    """Its tasks stay, and so does one that is open, however old."""
    async with running_store(database_url, nats_url), store_client(nats_url) as store:
        open_one, _ = await create(store, 1)
        group, task_ids = await create(store, 1)
        await end(store, task_ids)
        await settled(store, group)
    await run_sql(
        database_url,
        "UPDATE task_groups SET created_at = now() - interval '1 hour'",
        "UPDATE task_groups SET settled_at = now() - interval '1 hour' WHERE settled_at IS NOT NULL",
    )
    async with running_store(database_url, nats_url, retention_groups_seconds=60), store_client(nats_url) as store:

        async def check_gone() -> None:
            rows = await run_sql(database_url, "SELECT id FROM task_groups")
            assert [str(row["id"]) for row in rows] == [open_one["id"]]

        await holds(check_gone, within_seconds=20)
        assert (await store.get(task_ids[0]))["group_id"] == group["id"]


async def test_as_many_tasks_as_may_be_in_a_group_are_done_over_two_stores(database_url: str, nats_url: str) -> None:
    """Each once, and then the one that follows, once."""
    async with (
        running_store(database_url, nats_url),
        running_store(database_url, nats_url),
        store_client(nats_url) as store,
    ):
        group, task_ids = await create(store, 1_000)
        async with running_executor(nats_url) as executor:
            found = await settled(store, group, within_seconds=60)

            async def check_followed() -> None:
                assert await statuses(store, group) == ["completed", "cancelled"]

            await holds(check_followed)
        assert (found["status"], found["counts"]["completed"]) == ("completed", 1_000)
        assert executor.executions == dict.fromkeys([*task_ids, group["on_completed_id"]], 1)


async def serves(store: StoreClient) -> bool:
    """Whether a task store answers."""
    try:
        return bool((await store.ask(registry.HEALTH))["postgresql"] == "up")
    except (NoRespondersError, TimeoutError, UnavailableError):
        return False


@pytest.mark.parametrize(
    ("failpoint", "ending"),
    [
        # The commits before are those of the group and of the reports.
        ("store.before_commit:3", "completed"),
        ("store.after_commit:3", "failed"),
    ],
)
async def test_a_store_that_dies_while_it_settles_a_group_settles_it_once(
    database_url: str, nats_url: str, failpoint: str, ending: str
) -> None:
    """Killed before it can do or say anything else: the next store does it, unless it is done."""
    async with store_client(nats_url) as store:
        async with store_process(database_url, nats_url, failpoint) as process:
            await eventually(lambda: serves(store), within_seconds=30)
            group, task_ids = await create(store, 2)
            ends = [report("completed", task_ids[0]), report(ending, task_ids[1], error=ERROR)]
            if ending == "completed":
                del ends[1]["error"]
            await store.publish_report(orjson.dumps({"processor_id": "processor-1", "reports": ends}))
            async with asyncio.timeout(10):
                assert await process.wait() == -signal.SIGKILL
        (row,) = await run_sql(database_url, "SELECT status FROM task_groups")
        assert row["status"] == ("open" if "before" in failpoint else ending)
        # The lease of the dead leader, which would run out within seconds.
        await run_sql(database_url, "UPDATE relay_cursor SET owner = NULL, lease_until = NULL")
        async with running_store(database_url, nats_url), running_executor(nats_url) as executor:
            assert (await settled(store, group))["status"] == ending
            follows, other = (group[f"{name}_id"] for name in FOLLOW_UPS[:: 1 if ending == "completed" else -1])

            async def check_followed() -> None:
                assert (await store.get(follows))["status"] == "completed"

            await holds(check_followed)
            assert (await store.get(other))["status"] == "cancelled"
            assert await store.event_types(follows) == ["created", "scheduled", "queued", "started", "completed"]
            assert executor.executions[follows] == 1
