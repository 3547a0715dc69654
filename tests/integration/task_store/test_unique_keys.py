"""What only PostgreSQL can show of unique keys: that of many who want one at a time, one gets it, whoever dies."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import orjson
import pytest
import pytest_asyncio

from taskmill.contracts import registry
from taskmill.contracts.errors import RemoteError
from taskmill.contracts.requests import EXISTING_HEADER
from taskmill.runtime.clock import utc_now
from taskmill.runtime.errors import NoRespondersError
from taskmill.runtime.requests import RequestClient
from taskmill.task_store.adapters.database import DedicatedConnection
from taskmill.task_store.adapters.expired_rows import ExpiredRows
from tests.support.eventually import eventually, holds
from tests.support.task_store import (
    StoreClient,
    new_id,
    report,
    run_sql,
    running_store,
    store_client,
    store_process,
    store_with_client,
)

ENDED = "('completed', 'failed', 'cancelled')"

WRONG_HOLDS = f"""
SELECT key FROM unique_keys LEFT JOIN tasks ON tasks.id = unique_keys.task_id
WHERE tasks.id IS NULL OR tasks.unique_key <> key OR tasks.status IN {ENDED}
    OR (is_debounced AND (tasks.status <> 'scheduled' OR tasks.run_at IS NULL))
"""  # noqa: S608  (a constant)
"""Keys that are held by no task, by one of another key, or by one that should hold it no more."""

TWO_OF_A_KEY = f"""
SELECT unique_key FROM tasks WHERE unique_key IS NOT NULL AND status NOT IN {ENDED} AND run <= 1
    AND id NOT IN (SELECT task_id FROM unique_keys)
"""  # noqa: S608
"""Keys of tasks that have not ended, and do not hold them; true of none that holds it until its end."""


class Outcome(NamedTuple):
    """What a creation came to: the task that was told, and how."""

    task_id: str
    how: str


async def want(store: StoreClient, key: str, on_conflict: str = "reject", **fields: Any) -> Outcome:
    """Create a task under a key."""
    client = RequestClient(store.session, timeout_seconds=20)
    unique = {"key": key, "on_conflict": on_conflict, **({"debounce_seconds": 60} if on_conflict == "debounce" else {})}
    request = {"id": new_id(), "title": "t", "process": True, "unique": unique, **fields}
    try:
        reply = await client.request(registry.CREATE.subject, orjson.dumps(request))
    except RemoteError as error:
        problem = error.problem()
        assert problem.code == "unique_key_held", problem
        return Outcome(str(problem.task_id), "refused")
    is_existing = reply.headers.get(EXISTING_HEADER) == "true"
    task_id = orjson.loads(reply.body)["id"]
    assert (task_id == request["id"]) != is_existing
    return Outcome(task_id, "existing" if is_existing else "made")


async def check_holds(database_url: str, *, debounced: bool = False) -> None:
    """Assert that every key is held by whom it should be."""
    assert await run_sql(database_url, WRONG_HOLDS) == []
    if not debounced:
        assert await run_sql(database_url, TWO_OF_A_KEY) == []


async def holders(database_url: str) -> dict[str, str]:
    """Who holds each key."""
    return {row["key"]: str(row["task_id"]) for row in await run_sql(database_url, "SELECT * FROM unique_keys")}


@pytest_asyncio.fixture
async def two_stores(database_url: str, nats_url: str) -> AsyncIterator[StoreClient]:
    """A client of two stores on one database, which share its requests."""
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(running_store(database_url, nats_url))
        yield await stack.enter_async_context(store_client(nats_url))


async def test_of_200_at_once_one_is_made(two_stores: StoreClient, database_url: str) -> None:
    """The others are told its id, by either store."""
    outcomes = await asyncio.gather(*(want(two_stores, "k") for _ in range(200)))
    assert Counter(outcome.how for outcome in outcomes) == {"made": 1, "refused": 199}
    assert len({outcome.task_id for outcome in outcomes}) == 1
    (count,) = await run_sql(database_url, "SELECT count(*) FROM tasks")
    assert count[0] == 1
    await check_holds(database_url)


async def test_many_who_replace_each_other_leave_one(two_stores: StoreClient, database_url: str) -> None:
    """Each is cancelled by the one that came after it, but the last."""
    outcomes = await asyncio.gather(*(want(two_stores, f"k{n % 3}", "replace_waiting") for n in range(90)))
    assert {outcome.how for outcome in outcomes} == {"made"}
    counted = await run_sql(database_url, "SELECT unique_key, status, count(*) FROM tasks GROUP BY 1, 2 ORDER BY 1, 2")
    assert [tuple(row) for row in counted] == [
        (f"k{n}", status, count) for n in range(3) for status, count in (("cancelled", 29), ("queued", 1))
    ]
    replaced = await run_sql(
        database_url,
        "SELECT count(DISTINCT document::json -> 'data' ->> 'replaced_by') FROM task_events WHERE type = 'cancelled'",
    )
    assert replaced[0][0] == 87
    await check_holds(database_url)


async def test_many_who_debounce_leave_one_that_waits(two_stores: StoreClient, database_url: str) -> None:
    """With what one of them wants, all of it, and as many changes in its history as there were requests."""
    outcomes = await asyncio.gather(*(want(two_stores, "k", "debounce", title=f"t{n}", payload=n) for n in range(60)))
    assert Counter(outcome.how for outcome in outcomes) == {"made": 1, "existing": 59}
    (task_id,) = {outcome.task_id for outcome in outcomes}
    task = await two_stores.get(task_id)
    assert (task["status"], task["title"]) == ("scheduled", f"t{task['payload']}")
    assert Counter(await two_stores.event_types(task_id)) == {"created": 1, "updated": 59, "scheduled": 60}
    await check_holds(database_url, debounced=True)


async def test_existing_is_answered_whole(two_stores: StoreClient, database_url: str) -> None:
    """With its payload, also while others end and begin it at the other store."""
    first = await want(two_stores, "k", payload={"n": 1})

    async def end_and_want() -> list[Outcome]:
        outcomes = [await want(two_stores, "k", "return_existing", payload={"n": 1}) for _ in range(20)]
        await two_stores.report(report("completed", outcomes[-1].task_id))
        return outcomes

    for _ in range(3):
        found = await asyncio.gather(*(end_and_want() for _ in range(2)))
        for outcome in [first, *found[0], *found[1]]:
            assert (await two_stores.get(outcome.task_id))["payload"] == {"n": 1}
    await check_holds(database_url)


async def test_the_key_goes_with_the_end(store: StoreClient, database_url: str) -> None:
    """However that comes about; what is tried again has not ended."""
    ends = {}
    for how in ("completed", "failed", "cancelled", "deleted", "retried", "by hand"):
        fields = {"max_attempts": 2} if how == "retried" else {"process": False} if how == "by hand" else {}
        ends[how] = (await want(store, how.replace(" ", "-"), **fields)).task_id
    error = {"code": "handler_error", "message": "no"}
    await store.report(
        report("completed", ends["completed"]),
        report("failed", ends["failed"], error=error),
        report("failed", ends["retried"], error=error),
    )
    await store.ask(registry.CANCEL, id=ends["cancelled"])
    await store.ask(registry.DELETE, id=ends["deleted"], force=True)
    await store.ask(registry.UPDATE, id=ends["by hand"], changes={"status": "completed"})
    assert await holders(database_url) == {"retried": ends["retried"]}
    assert (await want(store, "completed")).how == "made"
    await check_holds(database_url)


async def test_a_debounced_task_lets_go_when_it_is_queued(store: StoreClient, database_url: str) -> None:
    """The due time comes by itself; the next of the key waits beside it."""
    unique = {"key": "k", "on_conflict": "debounce", "debounce_seconds": 0.2}
    first = await want(store, "k", unique=unique)

    async def check_queued() -> None:
        assert (await store.get(first.task_id))["status"] == "queued"

    await holds(check_queued)
    assert await holders(database_url) == {}
    second = await want(store, "k", "debounce")
    assert second.how == "made"
    assert await holders(database_url) == {"k": second.task_id}
    await check_holds(database_url, debounced=True)


async def test_a_key_that_was_held_for_long_enough_is_free(store: StoreClient, database_url: str) -> None:
    """Whether it was forgotten or not: its row is taken over, and the first task's end does not release it."""
    unique = {"key": "k", "held_for_seconds": 60}
    first, other = await want(store, "k", unique=unique), await want(store, "l", unique={**unique, "key": "l"})
    assert (await want(store, "k", unique=unique)).how == "refused"
    await run_sql(database_url, "UPDATE unique_keys SET expires_at = now() - interval '1 second'")
    second = await want(store, "k", unique=unique)
    assert second.how == "made"
    await store.report(report("completed", first.task_id))
    assert await holders(database_url) == {"k": second.task_id, "l": other.task_id}
    connection = DedicatedConnection(database_url, "test")
    rows = ExpiredRows(connection)
    assert [await rows.release_unique_keys(utc_now(), 100) for _ in range(2)] == [1, 0]
    await connection.close()
    assert await holders(database_url) == {"k": second.task_id}


async def test_lists_find_tasks_by_their_key(store: StoreClient) -> None:
    """Those that have it, and those that had it."""
    first = await want(store, "k")
    second = await want(store, "k", "replace_waiting")
    await want(store, "other")
    page = await store.ask(registry.LIST, filter={"unique_key": "k"})
    assert [task["id"] for task in page["items"]] == [second.task_id, first.task_id]


@pytest.mark.parametrize(
    ("step", "failpoint"),
    [
        ("made", "store.after_commit:1"),
        ("replaced", "store.before_commit:1"),
        ("ended", "store.before_commit:1"),
        ("ended", "store.after_commit:1"),
    ],
)
async def test_no_key_is_held_by_none_when_a_store_dies(
    database_url: str, nats_url: str, failpoint: str, step: str
) -> None:
    """Key and task are written together, or neither; asked again, the key is held by whom it should be."""
    async with store_with_client(database_url, nats_url) as store:
        first = await want(store, "k" if step != "made" else "other")

    async def carry_out(store: StoreClient) -> None:
        try:
            if step == "ended":
                await store.ask(registry.CANCEL, id=first.task_id)
            else:
                await want(store, "k", "replace_waiting")
        except NoRespondersError:
            raise AssertionError("no store is there yet") from None

    async with store_client(nats_url) as store, store_process(database_url, nats_url, failpoint) as process:
        asking = asyncio.create_task(holds(lambda: carry_out(store), within_seconds=30))
        await eventually(lambda: process.returncode is not None, within_seconds=20)
        # Nobody is left to answer.
        assert not asking.done()
        asking.cancel()
    await check_holds(database_url)
    was_done = failpoint.startswith("store.after")
    held = await holders(database_url)
    if step == "ended":
        assert held == ({} if was_done else {"k": first.task_id})
    else:
        assert (held.get("k") not in {None, first.task_id}) == was_done
    async with store_with_client(database_url, nats_url) as store:
        if step != "ended":
            assert (await want(store, "k", "replace_waiting")).task_id == (await holders(database_url))["k"]
        elif not was_done:
            await store.ask(registry.CANCEL, id=first.task_id)
            assert await holders(database_url) == {}
        await check_holds(database_url)
