import asyncio
import signal
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import orjson
import pytest

from taskmill.contracts import registry
from taskmill.contracts.errors import UnavailableError
from taskmill.contracts.requests import REPLAYED_HEADER
from taskmill.runtime.errors import NoRespondersError
from taskmill.runtime.requests import RequestClient
from taskmill.task_store.actors import bulk_operations
from tests.support.eventually import eventually
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

RUNS = "SELECT run, status, count(*) FROM tasks GROUP BY run, status ORDER BY run, status"
NO_COUNTS = {"matched": 0, "done": 0, "refused": 0}


async def start(store: StoreClient, **fields: Any) -> str:
    """Begin a bulk operation; return its id."""
    begun = await store.ask(registry.START_BULK, **{"id": new_id(), **fields})
    assert (begun["status"], begun["counts"], begun["finished_at"]) == ("running", NO_COUNTS, None)
    return str(begun["id"])


async def completed(store: StoreClient, operation_id: str) -> Document:
    """Return a bulk operation once it is completed."""

    async def operation() -> Document:
        found = await store.ask(registry.GET_BULK, id=operation_id)
        assert found["status"] == "completed", found
        return found

    return await eventually(operation, within_seconds=20)


async def carried_out(store: StoreClient, **fields: Any) -> tuple[Document, Document]:
    """Begin a bulk operation; return its counts and refusals once it is completed."""
    operation = await completed(store, await start(store, **fields))
    return operation["counts"], operation["refusals"]


async def create_many(store: StoreClient, count: int, **fields: Any) -> list[str]:
    """Create up to 1,000 tasks; return their ids."""
    tasks = [{"id": new_id(), "title": "one of many", **fields} for _ in range(count)]
    await store.ask(registry.CREATE_MANY, tasks=tasks)
    return [task["id"] for task in tasks]


async def statuses(store: StoreClient, *task_ids: str) -> list[str]:
    """Where tasks stand."""
    return [(await store.get(task_id))["status"] for task_id in task_ids]


async def test_all_that_meet_a_filter_are_processed_once(store: StoreClient, database_url: str) -> None:
    """Over several chunks, though they meet it afterwards as well; other tasks are left alone."""
    await create_many(store, 500, labels={"team": "web"})
    await create_many(store, 3)
    counts, refusals = await carried_out(
        store, action="process", filter={"status": ["pending", "queued"], "labels": {"team": None}}
    )
    assert (counts, refusals) == ({"matched": 500, "done": 500, "refused": 0}, {})
    rows = await run_sql(database_url, RUNS)
    assert [tuple(row) for row in rows] == [(0, "pending", 3), (1, "queued", 500)]


async def test_a_set_of_failed_tasks_is_done_again(store: StoreClient) -> None:
    """A new run each, with the events of an ordinary one; what failed for another reason than the filter's stays."""
    again, other = await store.create(process=True, kind="sleep"), await store.create(process=True)
    for task in (again, other):
        error = {"code": "handler_error", "type": None, "message": "no such page"}
        await store.report(report("failed", task["id"], error=error))
    counts, _ = await carried_out(store, action="process", filter={"status": ["failed"], "kind": "sleep"})
    assert counts == {"matched": 1, "done": 1, "refused": 0}
    assert await statuses(store, again["id"], other["id"]) == ["queued", "failed"]
    assert await store.event_types(again["id"]) == ["created", "queued", "started", "failed", "queued"]


async def test_each_named_task_is_asked_and_refusals_are_counted(store: StoreClient) -> None:
    """Those that cannot do it are counted by the code that their own endpoint answers with."""
    pending, queued = await store.create(), await store.create(process=True)
    named = [pending["id"], queued["id"], new_id(), new_id()]
    operation = await completed(store, await start(store, action="process", ids=named))
    assert operation["counts"] == {"matched": 4, "done": 1, "refused": 3}
    assert operation["refusals"] == {"run_active": 1, "task_not_found": 2}
    assert (operation["id_count"], operation["filter"]) == (4, None)
    assert operation["finished_at"] >= operation["created_at"]
    assert await statuses(store, pending["id"], queued["id"]) == ["queued", "queued"]


async def test_as_many_as_can_be_named_are_cancelled(store: StoreClient, database_url: str) -> None:
    """A thousand, in more than one chunk."""
    named = await create_many(store, 1_000, process=True)
    counts, _ = await carried_out(store, action="cancel", ids=named)
    assert counts == {"matched": 1_000, "done": 1_000, "refused": 0}
    assert [tuple(row) for row in await run_sql(database_url, RUNS)] == [(1, "cancelled", 1_000)]
    (waiting,) = await run_sql(database_url, "SELECT waiting FROM queues")
    assert waiting[0] == 0
    assert await carried_out(store, action="cancel", ids=named[:2]) == (
        {"matched": 2, "done": 0, "refused": 2},
        {"already_finished": 2},
    )


async def test_tasks_in_a_run_are_deleted_by_force_only(store: StoreClient) -> None:
    """As DELETE has it; the events stay."""
    pending, queued = await store.create(), await store.create(process=True)
    counts, refusals = await carried_out(store, action="delete", filter={"queue": "default"})
    assert (counts, refusals) == ({"matched": 2, "done": 1, "refused": 1}, {"run_active": 1})
    assert await store.refusal(registry.GET, id=pending["id"]) == "task_not_found"
    counts, _ = await carried_out(store, action="delete", filter={"queue": "default"}, force=True)
    assert counts == {"matched": 1, "done": 1, "refused": 0}
    assert await store.event_types(queued["id"]) == ["created", "queued", "cancelled", "deleted"]


async def test_a_dry_run_counts_and_changes_nothing(store: StoreClient) -> None:
    """By filter what meets it, by ids what exists."""
    task = await store.create()
    filtered = await carried_out(store, action="delete", filter={"kind": "echo"}, dry_run=True)
    assert filtered == ({"matched": 1, "done": 0, "refused": 0}, {})
    named = await carried_out(store, action="process", ids=[task["id"], new_id()], dry_run=True)
    assert named == ({"matched": 2, "done": 0, "refused": 1}, {"task_not_found": 1})
    assert await store.get(task["id"]) == task


async def test_a_filter_that_nothing_meets_is_completed(store: StoreClient) -> None:
    """There is nothing to do, and that is told."""
    assert await carried_out(store, action="cancel", filter={"kind": "nothing"}) == (NO_COUNTS, {})


async def test_the_same_key_begins_one_operation(store: StoreClient, database_url: str) -> None:
    """Made again, the request is answered as the first; another one under the key is refused."""
    body = {"action": "process", "filter": {"kind": "echo"}, "idempotency": {"key": "k", "fingerprint": "a" * 64}}
    client = RequestClient(store.session, timeout_seconds=4)
    subject = registry.START_BULK.subject
    first, again = [await client.request(subject, orjson.dumps({"id": new_id(), **body})) for _ in range(2)]
    assert again.body == first.body
    assert (first.headers, again.headers) == ({}, {REPLAYED_HEADER: "true"})
    assert len(await run_sql(database_url, "SELECT id FROM bulk_operations")) == 1
    body["idempotency"] = {"key": "k", "fingerprint": "b" * 64}
    assert await store.refusal(registry.START_BULK, id=new_id(), **body) == "idempotency_key_reused"


async def test_an_unknown_operation_is_not_found(store: StoreClient) -> None:
    """It is an error of its own."""
    assert await store.refusal(registry.GET_BULK, id=new_id()) == "bulk_operation_not_found"


async def test_a_full_queue_is_waited_for(database_url: str, nats_url: str) -> None:
    """No task is refused for it: the operation says what it waits for, others pass it, and it goes on in the end."""
    async with store_with_client(database_url, nats_url, max_queued_tasks=3) as store:
        tasks = await create_many(store, 5)
        operation_id = await start(store, action="process", filter={"queue": "default"})

        async def waits() -> bool:
            operation = await store.ask(registry.GET_BULK, id=operation_id)
            return (operation["waiting_for"], operation["counts"]["done"]) == ("room_in_queue", 3)

        await eventually(waits)
        others = await create_many(store, 2, queue="other")
        counts, _ = await carried_out(store, action="process", ids=others)
        assert counts == {"matched": 2, "done": 2, "refused": 0}
        assert await waits()
        for task_id in tasks[:2]:
            await store.report(report("completed", task_id))
        operation = await completed(store, operation_id)
        assert (operation["waiting_for"], operation["refusals"]) == (None, {})
        assert operation["counts"] == {"matched": 5, "done": 5, "refused": 0}
        assert Counter(await statuses(store, *tasks)) == {"completed": 2, "queued": 3}


async def test_operations_that_wait_hold_up_no_other_that_waits(
    database_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though there are more of them than are looked at in one go."""
    monkeypatch.setattr(bulk_operations, "MAX_OPERATIONS_AT_ONCE", 2)
    async with store_with_client(database_url, nats_url, max_queued_tasks=1) as store:
        full = [(await create_many(store, 1, queue=queue, process=True))[0] for queue in ("full", "other")]
        waiting = [await create_many(store, 1, queue=queue) for queue in ("full", "full", "full", "other")]
        operations = [await start(store, action="process", ids=ids) for ids in waiting]

        async def all_wait() -> bool:
            found = [await store.ask(registry.GET_BULK, id=operation_id) for operation_id in operations]
            return all(operation["waiting_for"] == "room_in_queue" for operation in found)

        await eventually(all_wait, within_seconds=10)
        await store.report(report("completed", full[1]))
        assert (await completed(store, operations[-1]))["counts"]["done"] == 1


async def test_whichever_store_is_asked_the_leader_carries_it_out(database_url: str, nats_url: str) -> None:
    """Operations begun at either of two stores are all completed, each task once."""
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(running_store(database_url, nats_url))
        store = await stack.enter_async_context(store_client(nats_url))
        tasks = await create_many(store, 40)
        operations = [await start(store, action="process", ids=tasks[first : first + 5]) for first in range(0, 40, 5)]
        for operation_id in operations:
            assert (await completed(store, operation_id))["counts"] == {"matched": 5, "done": 5, "refused": 0}
    assert [tuple(row) for row in await run_sql(database_url, RUNS)] == [(1, "queued", 40)]


async def serves(store: StoreClient) -> bool:
    """Whether a task store answers."""
    try:
        return bool((await store.ask(registry.HEALTH))["postgresql"] == "up")
    except (NoRespondersError, TimeoutError, UnavailableError):
        return False


async def test_a_store_dies_after_the_commit_of_a_chunk(database_url: str, nats_url: str) -> None:
    """Killed before it can do or say anything else: the next store does the rest, and nothing twice."""
    async with store_client(nats_url) as store:
        # The commits before are those of the tasks and of the operation.
        async with store_process(database_url, nats_url, "store.after_commit:3") as process:
            await eventually(lambda: serves(store), within_seconds=30)
            await create_many(store, 300)
            operation_id = await start(store, action="process", filter={"status": ["pending", "queued"]})
            async with asyncio.timeout(10):
                assert await process.wait() == -signal.SIGKILL
        (row,) = await run_sql(database_url, "SELECT status, done FROM bulk_operations")
        assert tuple(row) == ("running", 200)
        # The lease of the dead leader, which would run out within seconds.
        await run_sql(database_url, "UPDATE relay_cursor SET owner = NULL, lease_until = NULL")
        async with running_store(database_url, nats_url):
            operation = await completed(store, operation_id)
            assert operation["counts"] == {"matched": 300, "done": 300, "refused": 0}
    assert [tuple(row) for row in await run_sql(database_url, RUNS)] == [(1, "queued", 300)]
