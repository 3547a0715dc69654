"""What only PostgreSQL can show of retries, delays, cancellation, idempotency keys and bounded queues."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from taskmill.contracts import registry
from taskmill.contracts.errors import RemoteError
from taskmill.contracts.requests import REPLAYED_HEADER
from taskmill.runtime.reply import Reply
from taskmill.runtime.requests import RequestClient
from tests.support.eventually import eventually
from tests.support.task_store import (
    Document,
    StoreClient,
    hello,
    new_id,
    report,
    run_sql,
    running_store,
    store_client,
    store_with_client,
)

FINGERPRINT = "a" * 64
ERROR = {"code": "handler_error", "type": "ValueError", "message": "no such page"}


def keyed(key: str = "order-7", fingerprint: str = FINGERPRINT) -> Document:
    """The field that makes a request one that may be repeated."""
    return {"idempotency": {"key": key, "fingerprint": fingerprint}}


async def ask_for_reply(store: StoreClient, command: registry.Command, **fields: Any) -> Reply:
    """Send a request and return its reply with its headers."""
    client = RequestClient(store.session, timeout_seconds=4)
    return await client.request(command.subject, orjson.dumps(fields))


def is_replayed(reply: Reply) -> bool:
    """Whether a reply says that the request had been made before."""
    return reply.headers.get(REPLAYED_HEADER) == "true"


async def waiting(database_url: str) -> dict[str, int]:
    """How many tasks wait in each queue, as it is written."""
    rows = await run_sql(database_url, "SELECT name, waiting FROM queues")
    return {row["name"]: row["waiting"] for row in rows}


async def really_waiting(database_url: str) -> dict[str, int]:
    """How many tasks wait in each queue, counted anew."""
    counted = "SELECT queue, count(*) AS waiting FROM tasks WHERE status IN ('queued', 'scheduled') GROUP BY queue"
    return {row["queue"]: row["waiting"] for row in await run_sql(database_url, counted)}


async def test_the_same_key_is_answered_the_same(store: StoreClient) -> None:
    """Byte for byte, also when the task has changed since; another id or body does not count."""
    body = {"title": "Once", "process": True, **keyed()}
    first = await ask_for_reply(store, registry.CREATE, id=new_id(), **body)
    assert not is_replayed(first)
    task_id = orjson.loads(first.body)["id"]
    await store.report(report("completed", task_id))
    again = await ask_for_reply(store, registry.CREATE, id=new_id(), **body)
    assert is_replayed(again)
    assert again.body == first.body
    page = await store.ask(registry.LIST)
    assert [task["id"] for task in page["items"]] == [task_id]
    refusal = await store.refusal(registry.CREATE, id=new_id(), title="Other", **keyed(fingerprint="b" * 64))
    assert refusal == "idempotency_key_reused"


@pytest.mark.parametrize("command", [registry.PROCESS, registry.CANCEL], ids=["process", "cancel"])
async def test_a_command_under_a_key_is_done_once(store: StoreClient, command: registry.Command) -> None:
    """Made again it is answered from the store, though the task would refuse it by now."""
    task = await store.create()
    first = await ask_for_reply(store, command, id=task["id"], **keyed())
    again = await ask_for_reply(store, command, id=task["id"], **keyed())
    assert (is_replayed(first), is_replayed(again)) == (False, True)
    assert again.body == first.body
    assert await store.refusal(command, id=task["id"]) in {"run_active", "already_finished"}


async def test_two_stores_do_a_request_once(database_url: str, nats_url: str) -> None:
    """Of many that come at the same time, at either store, one is done; the others wait for it and replay it."""
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(running_store(database_url, nats_url))
        store = await stack.enter_async_context(store_client(nats_url))
        for round_ in range(5):
            requests = [
                ask_for_reply(
                    store,
                    registry.CREATE_MANY,
                    tasks=[{"id": new_id(), "title": "a"}, {"id": new_id(), "title": "b", "process": True}],
                    **keyed(f"round-{round_}"),
                )
                for _ in range(20)
            ]
            replies = await asyncio.gather(*requests)
            assert len({reply.body for reply in replies}) == 1
            assert sum(not is_replayed(reply) for reply in replies) == 1
        (count,) = await run_sql(database_url, "SELECT count(*) FROM tasks")
        assert count[0] == 10
        assert await waiting(database_url) == await really_waiting(database_url)


async def test_a_refused_request_stores_no_key(store: StoreClient, database_url: str) -> None:
    """It is decided anew when it is made again."""
    task = await store.create(process=True)
    assert await store.refusal(registry.PROCESS, id=task["id"], **keyed()) == "run_active"
    assert await run_sql(database_url, "SELECT * FROM idempotency_keys") == []


async def test_a_failed_attempt_comes_back(store: StoreClient) -> None:
    """It waits in PostgreSQL, is queued when it is due, and shows both attempts with their traceback."""
    backoff = {"base_seconds": 0.1, "jitter": 0}
    task = await store.create(process=True, max_attempts=2, backoff=backoff)
    await store.report(report("failed", task["id"], error=ERROR, traceback="Traceback: 1"))

    async def is_queued_again() -> bool:
        return bool((await store.get(task["id"]))["status"] == "queued")

    await eventually(is_queued_again)
    retried = await store.get(task["id"])
    assert (retried["attempt"], retried["attempt_limit"], retried["error"]["code"]) == (2, 2, "handler_error")
    await store.report(report("failed", task["id"], attempt=2, dispatch=2, error=ERROR))
    assert (await store.get(task["id"]))["status"] == "failed"
    attempts = (await store.ask(registry.ATTEMPTS, task_id=task["id"]))["items"]
    assert [(attempt["outcome"], attempt["traceback"]) for attempt in attempts] == [
        ("failed", "Traceback: 1"),
        ("failed", None),
    ]
    assert await store.event_types(task["id"]) == [
        *("created", "queued", "started", "scheduled", "queued", "started", "failed")
    ]


async def test_a_kinds_defaults_outlive_the_store(database_url: str, nats_url: str) -> None:
    """What a processor declared holds for every store, and after a restart."""
    declared = {**hello("default"), "kind_defaults": {"echo": {"max_attempts": 5, "timeout_seconds": 1.5}}}
    async with store_with_client(database_url, nats_url) as store:
        await store.report(declared)
        assert (await store.create(process=True))["attempt_limit"] == 5
    async with store_with_client(database_url, nats_url) as store:
        assert (await store.create(process=True))["attempt_limit"] == 5
        await store.report(hello("default"))
        assert (await store.create(process=True))["attempt_limit"] == 1


async def test_a_kind_that_is_heard_of_late_is_tried_again(store: StoreClient) -> None:
    """What it declares holds for a run that had begun by then, in the store and in the work that it publishes."""
    task = await store.create(process=True, backoff={"base_seconds": 0.1, "jitter": 0})
    await store.published(2)
    (early,) = await store.work_items()
    assert (early["attempt_limit"], early["first_attempt"]) == (1, 1)
    await store.report({**hello("default"), "kind_defaults": {"echo": {"max_attempts": 3}}})
    await store.report(report("failed", task["id"], error=ERROR))
    assert (await store.get(task["id"]))["attempt_limit"] == 3
    await store.published(5)
    late = (await store.work_items())[-1]
    assert (late["attempt"], late["attempt_limit"], late["first_attempt"]) == (2, 3, 0)


async def test_a_delayed_task_is_queued_in_time(store: StoreClient) -> None:
    """Within 100 ms of its time, and not before, however short the delay is."""
    delays = [timedelta(milliseconds=milliseconds) for milliseconds in (150, 400, 1300)]
    run_ats = [datetime.now(UTC) + delay for delay in delays]
    tasks = [await store.create(run_at=run_at.isoformat()) for run_at in run_ats]
    assert {task["status"] for task in tasks} == {"scheduled"}
    for task, run_at in zip(tasks, run_ats, strict=True):

        async def is_queued(task_id: str = task["id"]) -> bool:
            return bool((await store.get(task_id))["status"] == "queued")

        await eventually(is_queued)
        late = datetime.fromisoformat((await store.get(task["id"]))["queued_at"]) - run_at
        assert timedelta(0) <= late < timedelta(milliseconds=100)


async def test_ten_thousand_are_due_at_once(store: StoreClient, database_url: str) -> None:
    """All are queued once, in batches between which other requests are served."""
    next_year = (datetime.now(UTC) + timedelta(days=365)).isoformat()
    for _ in range(10):
        tasks = [{"id": new_id(), "title": "due", "run_at": next_year} for _ in range(1000)]
        await store.ask(registry.CREATE_MANY, tasks=tasks)
    soon = "UPDATE tasks SET run_at = statement_timestamp() + interval '1 second'"
    await run_sql(database_url, soon)

    async def are_queued() -> bool:
        await store.create()
        (count,) = await run_sql(database_url, "SELECT count(*) FROM tasks WHERE status = 'queued'")
        return bool(count[0] == 10_000)

    await eventually(are_queued, within_seconds=30)
    assert await waiting(database_url) == {"default": 10_000}


async def test_a_cancellation_is_told_and_confirmed(store: StoreClient) -> None:
    """Asked for, then confirmed by the processor; the attempt ends with it."""
    task = await store.create(process=True)
    await store.report(report("started", task["id"]))
    asked = await store.ask(registry.CANCEL, id=task["id"])
    assert (asked["status"], asked["cancel_requested_at"] is None) == ("in_progress", False)
    await store.report(report("cancelled", task["id"], started_at=asked["updated_at"], finished_at=asked["updated_at"]))
    ended = await store.get(task["id"])
    assert (ended["status"], ended["cancel_requested_at"]) == ("cancelled", None)
    assert (await store.events(task["id"]))[-1]["data"]["cancellation"] == "confirmed"
    (attempt,) = (await store.ask(registry.ATTEMPTS, task_id=task["id"]))["items"]
    assert attempt["outcome"] == "cancelled"
    assert await store.refusal(registry.CANCEL, id=task["id"]) == "already_finished"


async def test_deleting_by_force(store: StoreClient) -> None:
    """One request ends the run and the task; the history has both."""
    task = await store.create(process=True)
    assert await store.refusal(registry.DELETE, id=task["id"]) == "run_active"
    await store.ask(registry.DELETE, id=task["id"], force=True)
    assert await store.refusal(registry.GET, id=task["id"]) == "task_not_found"
    assert await store.event_types(task["id"]) == ["created", "queued", "cancelled", "deleted"]


async def test_a_full_queue_takes_nothing_more(database_url: str, nats_url: str) -> None:
    """Batches as a whole are refused, other queues and tasks that are not processed are not; leaving makes room."""
    async with store_with_client(database_url, nats_url, max_queued_tasks=3) as store:
        tasks = [await store.create(process=True) for _ in range(2)]
        many = [{"id": new_id(), "title": "batch", "process": True} for _ in range(2)]
        assert await store.refusal(registry.CREATE_MANY, tasks=many) == "queue_full"
        pending = await store.create()
        await store.create(process=True, queue="other")
        await store.ask(registry.PROCESS, id=pending["id"])
        with pytest.raises(RemoteError) as refusal:
            await store.create(run_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
        assert (refusal.value.problem().code, refusal.value.problem().retry_after_seconds) == ("queue_full", 5)
        await store.report(report("started", tasks[0]["id"]))
        await store.create(process=True)
        await store.report(report("given_back", tasks[0]["id"], reason="draining"))
        assert await waiting(database_url) == await really_waiting(database_url) == {"default": 4, "other": 1}


async def test_two_stores_share_the_room_of_a_queue(database_url: str, nats_url: str) -> None:
    """However requests fall on them, exactly as many wait as may."""
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(running_store(database_url, nats_url, max_queued_tasks=50))
        store = await stack.enter_async_context(store_client(nats_url))
        answers = await asyncio.gather(*(store.create(process=True) for _ in range(80)), return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, RemoteError)]
        assert {refusal.problem().code for refusal in refused} == {"queue_full"}
        assert len(refused) == 30
        assert await waiting(database_url) == await really_waiting(database_url) == {"default": 50}
