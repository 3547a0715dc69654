"""Limits, shares and turns, in a store that runs."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from taskmill.contracts import registry
from taskmill.task_store.adapters.database import DedicatedConnection, shared_connections
from taskmill.task_store.adapters.expired_rows import ExpiredRows
from taskmill.task_store.adapters.turn_rows import MIN_LOOKED_AT, TurnRows
from tests.support.eventually import holds
from tests.support.task_store import (
    Document,
    StoreClient,
    copy_row,
    hello,
    report,
    run_sql,
    running_store,
    store_with_client,
)


@pytest.fixture
async def store(database_url: str, nats_url: str) -> AsyncIterator[StoreClient]:
    """A client of a store, of whose queue `default` ten slots are served."""
    async with store_with_client(database_url, nats_url) as client:
        await client.report(hello("default"))
        yield client


async def submit(store: StoreClient, count: int, **fields: Any) -> list[str]:
    """Have tasks processed, one after another."""
    return [(await store.create(process=True, **fields))["id"] for _ in range(count)]


async def statuses(store: StoreClient, ids: list[str]) -> list[str]:
    """How tasks stand."""
    return [(await store.get(task_id))["status"] for task_id in ids]


async def stand(store: StoreClient, ids: list[str], *expected: str) -> None:
    """Wait until tasks stand so."""

    async def check() -> None:
        assert await statuses(store, ids) == list(expected)

    await holds(check)


async def end(store: StoreClient, task_id: str) -> None:
    """Have a task completed, at whatever dispatch it is."""
    await store.report(report("completed", task_id, result=None))


async def test_a_task_with_a_key_has_its_turn_and_says_so(store: StoreClient) -> None:
    """Without a limit it passes at once; its history tells that it waited for its turn."""
    [task_id] = await submit(store, 1, concurrency_key="tenant-17")
    await stand(store, [task_id], "queued")
    assert await store.event_types(task_id) == ["created", "scheduled", "queued"]
    _, held, queued = await store.events(task_id)
    assert (held["data"]["reason"], held["data"]["run_at"], queued["data"]["reason"]) == ("turn", None, "turn")
    [work] = await store.work_items()
    assert work["task_id"] == task_id


async def test_no_more_are_let_through_than_a_limit_allows(store: StoreClient) -> None:
    """The next has its turn when one ends; the others name the limit; other kinds go their way."""
    await store.ask(registry.PUT_LIMIT, name="echoes", kind="echo", max_in_progress=2)
    ids = await submit(store, 4)
    [other] = await submit(store, 1, kind="other")
    await stand(store, ids, "queued", "queued", "scheduled", "scheduled")
    assert (await store.get(ids[2]))["waiting_for"] == {"reason": "limit", "until": None, "limit": "echoes"}
    assert await store.event_types(other) == ["created", "queued"]
    await end(store, ids[0])
    await stand(store, ids, "completed", "queued", "queued", "scheduled")
    assert await store.ask(registry.CANCEL, id=ids[3])
    await end(store, ids[1])
    await stand(store, ids, "completed", "completed", "queued", "cancelled")


async def test_a_limit_changes_while_tasks_wait(store: StoreClient) -> None:
    """One that lets through more does so soon; one that is gone holds nobody."""
    await store.ask(registry.PUT_LIMIT, name="each", concurrency_key="*", max_in_progress=1)
    ids = await submit(store, 3, concurrency_key="a")
    [other] = await submit(store, 1, concurrency_key="b")
    await stand(store, [*ids, other], "queued", "scheduled", "scheduled", "queued")
    await store.ask(registry.PUT_LIMIT, name="each", concurrency_key="*", max_in_progress=2)
    await stand(store, ids, "queued", "queued", "scheduled")
    await store.ask(registry.DELETE_LIMIT, name="each")
    await stand(store, ids, "queued", "queued", "queued")


async def test_a_rate_lets_no_more_through_in_its_time(store: StoreClient, database_url: str) -> None:
    """What waits knows until when; the turns are written down, for a store that leads later."""
    rate = {"tasks": 2, "seconds": 3600}
    await store.ask(registry.PUT_LIMIT, name="slow", kind="echo", rate=rate)
    ids = await submit(store, 3)
    await stand(store, ids, "queued", "queued", "scheduled")
    for task_id in ids[:2]:
        await end(store, task_id)
    waiting = (await store.get(ids[2]))["waiting_for"]
    assert (waiting["reason"], waiting["limit"]) == ("rate", "slow")
    assert waiting["until"] > (await store.get(ids[0]))["queued_at"]
    [started] = await run_sql(database_url, "SELECT sum(tasks)::integer AS tasks FROM turn_starts")
    assert started["tasks"] == 2


async def test_a_rate_holds_over_a_change_of_terms(store: StoreClient, database_url: str) -> None:
    """Whoever begins a term reads the turns of before, for the keys that wait; what no rate counts goes."""
    await store.ask(registry.PUT_LIMIT, name="each", concurrency_key="*", rate={"tasks": 1, "seconds": 3600})
    first = await submit(store, 1, concurrency_key="a")
    await stand(store, first, "queued")
    await run_sql(database_url, "UPDATE turn_term SET number = number + 1")
    ids = [*await submit(store, 2, concurrency_key="b"), *await submit(store, 1, concurrency_key="a")]
    await stand(store, ids, "queued", "scheduled", "scheduled")
    waiting = [(await store.get(task_id))["waiting_for"] for task_id in ids[1:]]
    assert [(it["reason"], it["limit"]) for it in waiting] == [("rate", "each")] * 2
    await run_sql(
        database_url,
        "INSERT INTO turn_starts SELECT 'gone', 'k', number, now(), 1 FROM generate_series(1, 3) AS number",
        "INSERT INTO turn_starts VALUES ('each', 'old', 1, now() - interval '2 hours', 1)",
    )
    connection = DedicatedConnection(database_url, "expiry")
    rows = ExpiredRows(connection)
    assert [await rows.delete_turn_starts(datetime.now(UTC), 3) for _ in range(3)] == [3, 1, 0]
    await connection.close()


async def test_a_list_says_which_limit_holds_which_task(store: StoreClient) -> None:
    """Each key is counted for itself, and by the limit that names it, if one does."""
    await store.ask(registry.PUT_LIMIT, name="each", concurrency_key="*", max_in_progress=1)
    await store.ask(registry.PUT_LIMIT, name="big", concurrency_key="b", rate={"tasks": 1, "seconds": 3600})
    held = []
    for key in "abc":
        first, second = await submit(store, 2, concurrency_key=key)
        await stand(store, [first, second], "queued", "scheduled")
        held.append(second)
    page = await store.ask(registry.LIST, filter={"status": ["scheduled"]}, sort="created_at")
    told = {item["id"]: (item["waiting_for"]["reason"], item["waiting_for"].get("limit")) for item in page["items"]}
    assert [told[task_id] for task_id in held] == [("limit", "each"), ("rate", "big"), ("limit", "each")]


async def test_a_limit_is_told_whatever_is_queued_elsewhere(database_url: str, nats_url: str) -> None:
    """Of a queue with many tasks only some are looked at; that a limit of all tasks has no room is counted already."""
    async with store_with_client(database_url, nats_url) as store:
        await store.report(hello("default", "other"))
        await store.ask(registry.PUT_LIMIT, name="echoes", kind="echo", max_in_progress=1)
        ids = await submit(store, 2)
        await stand(store, ids, "queued", "scheduled")
        [other] = await submit(store, 1, kind="other", queue="other")
        await copy_row(database_url, "tasks", {"id": other}, 5_000)
        await run_sql(database_url, "UPDATE queues SET queued_medium = queued_medium + 5000 WHERE name = 'other'")
        assert (await store.get(ids[1]))["waiting_for"] == {"reason": "limit", "until": None, "limit": "echoes"}
        await store.ask(registry.PUT_LIMIT, name="all", max_in_progress=5_002)
    connections = await shared_connections(database_url, "test", max_connections=1)
    try:
        rows = TurnRows(connections)
        buckets = (await rows.limits()).buckets("echo", None)
        # Nobody else reads now.
        reads = "SELECT seq_tup_read + idx_tup_fetch AS rows FROM pg_stat_user_tables WHERE relname = 'tasks'"
        await connections.fetch("ANALYZE tasks")
        await connections.fetch("SELECT pg_stat_force_next_flush()")
        [before] = await connections.fetch(reads)
        loads = await rows.loads(buckets, datetime.now(UTC))
        await connections.fetch("SELECT pg_stat_force_next_flush()")
        [after] = await connections.fetch(reads)
    finally:
        await connections.close()
    assert {name: load.active for (name, _), load in loads.items()} == {"echoes": 1, "all": 5_002}
    assert 0 < after["rows"] - before["rows"] <= MIN_LOOKED_AT + 10


async def test_a_retry_waits_for_its_turn_again(store: StoreClient) -> None:
    """Between its attempts a task takes no slot."""
    await store.ask(registry.PUT_LIMIT, name="one", kind="echo", max_in_progress=1)
    ids = await submit(store, 2, max_attempts=2, backoff={"base_seconds": 0, "jitter": 0})
    await stand(store, ids, "queued", "scheduled")
    await store.report(report("failed", ids[0], error={"code": "broken", "message": "It broke."}))

    async def check() -> None:
        # Which of them has the slot now depends on whether the retry is due before the other has its turn.
        assert sorted(await statuses(store, ids)) == ["queued", "scheduled"]
        reasons = [event["data"].get("reason") for event in await store.events(ids[0])]
        assert reasons.count("turn") >= 3, reasons

    await holds(check)


async def test_where_nobody_works_no_slot_is_taken(store: StoreClient) -> None:
    """A task of a queue without processors says so, and one of another queue has the limit's slot."""
    await store.ask(registry.PUT_LIMIT, name="one", kind="echo", max_in_progress=1)
    [lonely] = await submit(store, 1, queue="elsewhere")
    [served] = await submit(store, 1)
    await stand(store, [served], "queued")
    assert (await store.get(lonely))["waiting_for"]["reason"] == "processor"
    assert (await store.get(lonely))["status"] == "scheduled"


async def test_a_store_that_no_longer_leads_gives_no_turn(store: StoreClient, database_url: str, nats_url: str) -> None:
    """When another one has begun a term, what was chosen in the term before is not written; the limit holds."""
    await store.ask(registry.PUT_LIMIT, name="one", kind="echo", max_in_progress=1)
    ids = await submit(store, 2)
    await stand(store, ids, "queued", "scheduled")
    async with running_store(database_url, nats_url):
        # As the other one does that comes to lead.
        await run_sql(database_url, "UPDATE turn_term SET number = number + 1")
        await end(store, ids[0])
        ids += await submit(store, 1)
        await stand(store, ids, "completed", "queued", "scheduled")


async def test_what_is_moved_to_another_priority_goes_by_that(store: StoreClient) -> None:
    """A task that waits may be edited, and then comes before older ones."""
    await store.ask(registry.PUT_LIMIT, name="one", kind="echo", max_in_progress=1)
    ids = await submit(store, 3)
    await stand(store, ids, "queued", "scheduled", "scheduled")
    await store.ask(registry.UPDATE, id=ids[2], changes={"priority": "critical"})
    await end(store, ids[0])
    await stand(store, ids, "completed", "scheduled", "queued")


async def test_limits_and_shares_are_kept(store: StoreClient) -> None:
    """They are made, listed, read, changed and deleted; what is not there is said so."""
    made = await store.ask(registry.PUT_LIMIT, name="b", kind="echo", rate={"tasks": 1, "seconds": 0.5})
    assert (made["rate"], made["max_in_progress"]) == ({"tasks": 1, "seconds": 0.5}, None)
    changed = await store.ask(registry.PUT_LIMIT, name="b", max_in_progress=0)
    assert (changed["created_at"], changed["rate"]) == (made["created_at"], None)
    await store.ask(registry.PUT_LIMIT, name="a", concurrency_key="*", max_in_progress=3)
    page: Document = await store.ask(registry.LIST_LIMITS, limit=1)
    behind = await store.ask(registry.LIST_LIMITS, limit=1, cursor=page["next_cursor"])
    assert [page["items"][0]["name"], behind["items"][0]["name"], behind["next_cursor"]] == ["a", "b", None]
    assert await store.ask(registry.GET_LIMIT, name="b") == changed
    await store.ask(registry.DELETE_LIMIT, name="b")
    assert await store.refusal(registry.GET_LIMIT, name="b") == "limit_not_found"
    assert await store.refusal(registry.DELETE_LIMIT, name="b") == "limit_not_found"

    share = await store.ask(registry.PUT_SHARE, concurrency_key="t", weight=2.5)
    assert await store.ask(registry.GET_SHARE, concurrency_key="t") == share
    assert (await store.ask(registry.LIST_SHARES))["items"] == [share]
    await store.ask(registry.DELETE_SHARE, concurrency_key="t")
    assert await store.refusal(registry.GET_SHARE, concurrency_key="t") == "share_not_found"
    assert await store.refusal(registry.DELETE_SHARE, concurrency_key="t") == "share_not_found"
