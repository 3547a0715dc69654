"""Processors and queues as a running store tells of them, and what it does for a queue that is paused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from nats.js.errors import NotFoundError

from taskmill.contracts import registry, subjects
from taskmill.contracts.status import Priority
from taskmill.contracts.streams import WORK_STREAM, work_consumer_name
from taskmill.runtime.consumer_pause import consumer_pauses, resume_consumer
from taskmill.runtime.jetstream_api import jetstream_request
from taskmill.task_store.actors import queue_pauses
from taskmill.task_store.adapters import queue_rows
from taskmill.task_store.adapters.database import DedicatedConnection
from taskmill.task_store.adapters.expired_rows import ExpiredRows
from tests.support.eventually import holds
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

EMPTY = {"critical": 0, "high": 0, "medium": 0, "low": 0}
MANY_TASKS = """
INSERT INTO tasks (id, title, kind, queue, priority, labels, status, is_run_active, version, revision, run,
    attempt, dispatch, delivery, created_at, updated_at, queued_at, payload, result)
SELECT gen_random_uuid(), 't', 'echo', 'q' || number % 10, 'low', '{}', 'queued', true, 2, 1, 1, 1, 1, 0, now(),
    now(), now(), 'null', 'null' FROM generate_series(1, 20000) AS number
"""
STARTED_AT = "2026-11-24T12:00:00Z"


@asynccontextmanager
async def expired_rows(database_url: str) -> AsyncIterator[ExpiredRows]:
    """What the store that leads forgets with, to be used at any moment."""
    connection = DedicatedConnection(database_url, "test")
    try:
        yield ExpiredRows(connection)
    finally:
        await connection.close()


async def queue_of(store: StoreClient, name: str) -> Document:
    """What is told of a queue."""
    page = await store.ask(registry.LIST_QUEUES, limit=200)
    [found] = [queue for queue in page["items"] if queue["name"] == name]
    told: Document = found
    return told


async def paused_consumers(store: StoreClient, queue: str) -> list[bool]:
    """Whether each of the four consumers of a queue is paused, by priority."""
    pauses = {pause.name: pause.is_paused async for pause in consumer_pauses(store.session, WORK_STREAM)}
    names = [work_consumer_name(queue, priority) for priority in Priority]
    return [pauses[name] for name in names if name in pauses]


async def are_paused(store: StoreClient, queue: str, *, paused: bool, within_seconds: float = 10) -> None:
    """Wait until all consumers of a queue are paused, or none is."""

    async def check() -> None:
        assert await paused_consumers(store, queue) == [paused] * 4

    await holds(check, within_seconds=within_seconds)


async def test_a_queue_tells_what_waits_in_it(store: StoreClient) -> None:
    """Queued tasks by priority, scheduled ones, those in progress, and how long the oldest waits."""
    before = datetime.now(UTC)
    ids = [
        (await store.create(queue="web", priority=priority, process=True))["id"]
        for priority in ("high", "high", "low", "medium", "critical")
    ]
    await store.create(queue="web", run_at=(before + timedelta(hours=1)).isoformat())
    await store.create(queue="web")
    told = await queue_of(store, "web")
    assert told["depth"] == {"critical": 1, "high": 2, "medium": 1, "low": 1}
    assert (told["scheduled"], told["in_progress"]) == (1, 0)
    assert 0 <= told["oldest_age_seconds"] <= (datetime.now(UTC) - before).total_seconds()
    assert (told["processor_count"], told["processors"]) == (0, [])
    await store.report(report("started", ids[0]), report("completed", ids[1]), report("failed", ids[2], error=FAILURE))
    told = await queue_of(store, "web")
    assert told["depth"] == {"critical": 1, "high": 0, "medium": 1, "low": 0}
    assert told["in_progress"] == 1
    await store.ask(registry.CANCEL, id=ids[3])
    await store.ask(registry.CANCEL, id=ids[4])
    told = await queue_of(store, "web")
    assert (told["depth"], told["oldest_age_seconds"]) == (EMPTY, None)


FAILURE = {"code": "bad", "message": "It is bad."}


async def test_a_queue_tells_how_many_runs_end(store: StoreClient) -> None:
    """A second, over the time that the store remembers: it has looked once when it started."""
    task = await store.create(process=True)
    assert (await queue_of(store, "default"))["finished_per_second"] == 0
    await store.report(report("completed", task["id"]))
    assert (await queue_of(store, "default"))["finished_per_second"] > 0


async def test_processors_are_listed_as_they_said_hello(store: StoreClient, database_url: str) -> None:
    """What each serves and how it stands; those that were not heard of for long are not there."""
    said = {**hello("web"), "running": 3, "started_at": STARTED_AT}
    await store.report(said, processor_id="b")
    await store.report(hello("web", "bills"), processor_id="a")
    await store.report(hello("web"), processor_id="gone")

    async def listed() -> list[Document]:
        # Each time: what it said is written down some time after its report is taken in.
        await run_sql(database_url, "UPDATE processors SET seen_at = now() - interval '31 s' WHERE id = 'gone'")
        items: list[Document] = (await store.ask(registry.LIST_PROCESSORS))["items"]
        assert [item["id"] for item in items] == ["a", "b"]
        return items

    older, newer = await holds(listed)
    assert newer.pop("last_seen_at") is not None
    assert newer == {
        "id": "b",
        "queues": ["web"],
        "kinds": ["echo"],
        "slots": 10,
        "running": 3,
        "software_version": "1",
        "started_at": STARTED_AT,
        "is_draining": False,
    }
    assert (older["running"], older["started_at"]) == (0, None)
    told = await queue_of(store, "web")
    assert (told["processor_count"], told["processors"]) == (2, ["a", "b"])


async def test_a_processor_that_drains_serves_nobody(store: StoreClient) -> None:
    """It is listed as such, and what waits in its queue waits for a processor."""
    await store.report({**hello("web"), "is_draining": True}, processor_id="a")

    async def check_listed() -> None:
        items = (await store.ask(registry.LIST_PROCESSORS))["items"]
        assert [item["is_draining"] for item in items] == [True]

    await holds(check_listed)
    task = await store.create(queue="web", process=True)
    assert (await store.get(task["id"]))["waiting_for"]["reason"] == "processor"
    assert (await queue_of(store, "web"))["processors"] == []
    health = await store.ask(registry.HEALTH)
    assert health["fleet"] == {
        "processors": 0,
        "paused_queues": 0,
        "unserved_queues": ["web"],
        "unknown_kinds": [],
        "differing_kinds": [],
    }


async def test_health_sums_up_the_fleet(store: StoreClient) -> None:
    """A queue in which nothing waits needs no processor."""
    await store.create(queue="empty")
    await store.create(queue="web", process=True)
    await store.ask(registry.PAUSE_QUEUE, name="empty")
    assert (await store.ask(registry.HEALTH))["fleet"] == {
        "processors": 0,
        "paused_queues": 1,
        "unserved_queues": ["web"],
        "unknown_kinds": [],
        "differing_kinds": [],
    }
    await store.report(hello("web"), processor_id="a")

    async def check_served() -> None:
        fleet = (await store.ask(registry.HEALTH))["fleet"]
        assert (fleet["processors"], fleet["unserved_queues"]) == (1, [])

    await holds(check_served)


async def test_health_names_kinds_that_nobody_knows(store: StoreClient) -> None:
    """While their tasks wait, also in the moments in which they are offered, until a processor of the queue has one."""

    async def check(expected: list[Document]) -> None:
        assert (await store.ask(registry.HEALTH))["fleet"]["unknown_kinds"] == expected

    await store.report(hello("media"), processor_id="a")
    task = await store.create(queue="media", kind="thumb", process=True)
    await check([])
    await store.report(report("given_back", task["id"], reason="unknown_kind"))
    unknown = [{"queue": "media", "kind": "thumb"}]
    await check(unknown)
    # Elsewhere it is known, which does not help.
    await store.report({**hello("web"), "kinds": ["thumb"]}, processor_id="b")
    await check(unknown)
    assert (await store.get(task["id"]))["status"] == "scheduled"
    await store.report({**hello("media"), "kinds": ["thumb"]}, processor_id="c")

    async def check_offered() -> None:
        assert (await store.get(task["id"]))["status"] == "queued"
        await check([])

    # At once, not when its time has come.
    await holds(check_offered, within_seconds=3)
    assert (await store.event_types(task["id"]))[-2:] == ["scheduled", "queued"]


async def test_kinds_that_nobody_knows_are_found_without_a_look_at_all_tasks(database_url: str) -> None:
    """20,000 are queued, and as many were refused, of two kinds in two queues."""
    await run_sql(
        database_url,
        MANY_TASKS,
        MANY_TASKS,
        "WITH half AS (SELECT id, row_number() OVER () AS number FROM tasks LIMIT 20000) "
        "UPDATE tasks SET refusals = 1, kind = 'k' || number % 2, queue = 'q' || number / 2 % 2 "
        "FROM half WHERE half.id = tasks.id",
        "ANALYZE tasks",
        "INSERT INTO processors (id, queues, kinds, slots, software_version, seen_at) "
        "VALUES ('p', ARRAY['q0', 'q1'], ARRAY['k0'], 1, '1', now())",
    )
    statement = queue_rows._UNKNOWN_KINDS.replace("$1", "now() - interval '30 s'").replace("$2", "50")
    found = await run_sql(database_url, statement)
    assert [tuple(row) for row in found] == [("q0", "k1"), ("q1", "k1")]
    [row] = await run_sql(database_url, f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}")
    [plan] = orjson.loads(row[0])
    assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 100


async def test_an_idle_queue_is_forgotten_with_its_consumers(
    database_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one with a task, a pause or a processor; and a task that comes afterwards, through any store, makes it again.

    Its work is delivered then.
    """
    monkeypatch.setattr(queue_pauses, "AGREE_INTERVAL_SECONDS", 0)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(running_store(database_url, nats_url))
        store = await stack.enter_async_context(store_client(nats_url))
        ended = [await store.create(queue="idle", process=True) for _ in range(2)]
        for task in ended:
            await store.ask(registry.CANCEL, id=task["id"])
        await store.create(queue="busy", process=True)
        await store.create(queue="later", run_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
        await store.ask(registry.PAUSE_QUEUE, name="paused")
        await store.report(hello("served"))
        await are_paused(store, "idle", paused=False)

        async def check_served() -> None:
            assert (await queue_of(store, "served"))["processor_count"] == 1

        await holds(check_served)
        expired = await stack.enter_async_context(expired_rows(database_url))
        now = datetime.now(UTC)
        assert await expired.forget_queues(now - timedelta(seconds=60), now) == []
        assert await expired.forget_queues(now + timedelta(seconds=1), now) == ["idle"]

        async def check_gone() -> None:
            assert await paused_consumers(store, "idle") == []

        await holds(check_gone)
        assert {queue["name"] for queue in (await store.ask(registry.LIST_QUEUES))["items"]} >= {
            *("busy", "later", "paused", "served")
        }
        for task in ended:
            again = await store.ask(registry.PROCESS, id=task["id"])
            assert again["status"] == "queued"
        assert (await queue_of(store, "idle"))["depth"] == {**EMPTY, "medium": 2}
        await are_paused(store, "idle", paused=False)


async def test_queues_are_forgotten_while_tasks_come(database_url: str, nats_url: str) -> None:
    """However that is timed, every task is counted in a queue that exists, and consumers exist for it."""
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(running_store(database_url, nats_url))
        store = await stack.enter_async_context(store_client(nats_url))
        expired = await stack.enter_async_context(expired_rows(database_url))
        forgotten = 0

        async def come_and_go(number: int) -> None:
            for _ in range(15):
                task = await store.create(queue=f"q{number}", process=True)
                await store.ask(registry.CANCEL, id=task["id"])
            await store.create(queue=f"q{number}", process=True)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(come_and_go(number)) for number in range(4)]
            while not all(task.done() for task in tasks):
                now = datetime.now(UTC)
                forgotten += len(await expired.forget_queues(now + timedelta(seconds=1), now))
                await asyncio.sleep(0)
        assert forgotten > 0
        for number in range(4):
            assert (await queue_of(store, f"q{number}"))["depth"] == {**EMPTY, "medium": 1}
            await are_paused(store, f"q{number}", paused=False, within_seconds=20)


@pytest.mark.parametrize("command", [registry.LIST_QUEUES, registry.LIST_PROCESSORS], ids=lambda command: command.verb)
async def test_lists_are_read_page_by_page(command: registry.Command, store: StoreClient) -> None:
    """Each once, in the order of their names, and a page has no more than was asked for."""
    names = ["a", "b-1", "b_2", "c", "d"]
    for name in names:
        await store.create(queue=name)
        await store.report(hello("a"), processor_id=name)

    async def check_pages() -> None:
        seen: list[str] = []
        cursor = None
        while cursor is not None or not seen:
            page: dict[str, Any] = await store.ask(command, limit=2, cursor=cursor)
            assert 0 < len(page["items"]) <= 2
            seen += [item.get("name") or item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
        assert seen == names

    await holds(check_pages)
    assert await store.refusal(command, cursor="nobody-gave-this-one") == "invalid_request"
    assert await store.refusal(command, limit=201) == "invalid_request"
    assert await store.refusal(command, limit=0) == "invalid_request"


async def test_a_pause_is_kept_and_obeyed(store: StoreClient) -> None:
    """It is told since when; once more changes nothing. Tasks can be created and cancelled, and wait."""
    await store.create(queue="web")
    paused = await store.ask(registry.PAUSE_QUEUE, name="web")
    assert paused["is_paused"]
    assert await paused_consumers(store, "web") == [True] * 4
    assert await store.ask(registry.PAUSE_QUEUE, name="web") == paused
    task = await store.create(queue="web", process=True)
    assert (await store.get(task["id"]))["waiting_for"]["reason"] == "resume"
    [listed] = (await store.ask(registry.LIST, filter={"queue": "web", "status": ["queued"]}))["items"]
    assert listed["waiting_for"]["reason"] == "resume"
    resumed = await store.ask(registry.RESUME_QUEUE, name="web")
    assert (resumed["is_paused"], resumed["paused_at"]) == (False, None)
    await are_paused(store, "web", paused=False, within_seconds=1)
    again = await store.ask(registry.RESUME_QUEUE, name="web")
    assert not again["is_paused"]


async def test_an_answer_soon_says_that_a_task_waits_for_its_queue(store: StoreClient) -> None:
    """Also that of the request which made it wait: the store looks every second."""
    await store.ask(registry.PAUSE_QUEUE, name="web")

    async def check_reason() -> None:
        assert (await store.create(queue="web", process=True))["waiting_for"]["reason"] == "resume"

    await holds(check_reason)


async def test_a_queue_that_is_not_there_yet_may_be_paused(database_url: str, nats_url: str) -> None:
    """It comes to exist, if there is room for it; nothing else may be resumed."""
    async with store_with_client(database_url, nats_url, max_queues=1) as store:
        assert await store.refusal(registry.RESUME_QUEUE, name="web") == "queue_not_found"
        paused = await store.ask(registry.PAUSE_QUEUE, name="web")
        assert (paused["depth"], paused["is_paused"]) == (EMPTY, True)
        assert await store.refusal(registry.PAUSE_QUEUE, name="bills") == "too_many_queues"
        await store.create(queue="web", process=True)
        assert (await queue_of(store, "web"))["depth"] == {**EMPTY, "medium": 1}
        assert await paused_consumers(store, "web") == [True] * 4


@pytest.mark.parametrize("name", ["", "Web", "web.>", "w b", "a" * 65, "_web"])
async def test_only_names_of_queues_are_paused(name: str, store: StoreClient) -> None:
    """What is none is refused before anything is done."""
    assert await store.refusal(registry.PAUSE_QUEUE, name=name) == "invalid_request"
    assert (await store.ask(registry.LIST_QUEUES))["items"] == []


async def test_a_pause_outlives_the_streams(store: StoreClient) -> None:
    """Somebody deletes the work: it is published again, for consumers that are paused from their first moment."""
    await store.ask(registry.PAUSE_QUEUE, name="web")
    await store.create(queue="web", process=True)
    await jetstream_request(store.session, f"STREAM.DELETE.{WORK_STREAM}")

    async def check_made_again() -> None:
        try:
            assert await store.count(WORK_STREAM) == 1
        except NotFoundError as error:
            raise AssertionError from error

    await holds(check_made_again, within_seconds=30)
    assert await paused_consumers(store, "web") == [True] * 4


async def test_the_store_that_leads_makes_pauses_true(store: StoreClient, database_url: str) -> None:
    """A pause that was committed by a store that died then, and consumers that somebody else has resumed."""
    await store.create(queue="web", process=True)
    await are_paused(store, "web", paused=False)
    await run_sql(database_url, "UPDATE queues SET paused_at = now() WHERE name = 'web'")
    await are_paused(store, "web", paused=True)
    await resume_consumer(store.session, WORK_STREAM, work_consumer_name("web", Priority.MEDIUM))
    await are_paused(store, "web", paused=True)
    await run_sql(database_url, "UPDATE queues SET paused_at = NULL WHERE name = 'web'")
    await are_paused(store, "web", paused=False)


async def test_processors_are_told_again_and_again(store: StoreClient) -> None:
    """By core NATS, where a message may be lost: all queues that are paused, for as long as they are."""
    told: list[list[str]] = []
    store.session.subscribe(
        subjects.QUEUES_PAUSED_SUBJECT, lambda _s, _r, body, _h: told.append(orjson.loads(body)["queues"])
    )
    await store.session.flush()
    await store.ask(registry.PAUSE_QUEUE, name="web")
    assert ["web"] in told
    await store.ask(registry.PAUSE_QUEUE, name="bills")

    async def check_told() -> None:
        assert told.count(["bills", "web"]) >= 2

    await holds(check_told)


async def test_any_of_two_stores_pauses(database_url: str, nats_url: str) -> None:
    """The pause holds whoever carried it out, whoever leads, and whoever goes."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(store_client(nats_url))
        async with running_store(database_url, nats_url):
            await stack.enter_async_context(running_store(database_url, nats_url))
            for number in range(8):
                await client.ask(registry.PAUSE_QUEUE, name=f"queue-{number}")
                assert await paused_consumers(client, f"queue-{number}") == [True] * 4
            await asyncio.gather(*(client.ask(registry.RESUME_QUEUE, name=f"queue-{number}") for number in range(4)))
        for number in range(8):
            await are_paused(client, f"queue-{number}", paused=number >= 4)
        await client.ask(registry.RESUME_QUEUE, name="queue-7")
        await are_paused(client, "queue-7", paused=False)


async def test_who_comes_last_wins(database_url: str, nats_url: str) -> None:
    """Of two who want the opposite at the same moment: what is written down is what is obeyed."""
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(running_store(database_url, nats_url))
        client = await stack.enter_async_context(store_client(nats_url))
        await client.create(queue="web")
        for _ in range(10):
            commands = (registry.PAUSE_QUEUE, registry.RESUME_QUEUE, registry.PAUSE_QUEUE, registry.RESUME_QUEUE)
            await asyncio.gather(*(client.ask(command, name="web") for command in commands))
            told = await queue_of(client, "web")
            await are_paused(client, "web", paused=told["is_paused"], within_seconds=1)


async def test_what_an_earlier_release_did_not_count_is_counted(database_url: str, nats_url: str) -> None:
    """When a store comes to lead, counters are compared with the tasks."""
    async with store_with_client(database_url, nats_url) as store:
        for priority in ("high", "low"):
            await store.create(id=new_id(), queue="web", priority=priority, process=True)
    await run_sql(database_url, "UPDATE queues SET queued_high = 0, queued_low = 7, in_progress = -2")
    async with store_with_client(database_url, nats_url) as store:

        async def check_mended() -> None:
            told = await queue_of(store, "web")
            assert told["depth"] == {"critical": 0, "high": 1, "medium": 0, "low": 1}

        await holds(check_mended)
    [row] = await run_sql(database_url, "SELECT queued_high, queued_low, in_progress FROM queues")
    assert tuple(row) == (1, 1, 0)


async def test_a_list_of_queues_costs_the_same_whatever_waits(database_url: str) -> None:
    """Nothing is counted, and of each queue only the oldest task is looked at: 20,000 wait here."""
    await run_sql(
        database_url,
        "INSERT INTO queues (name, created_at, queued_low) SELECT 'q' || n, now(), 1 FROM generate_series(0, 9) AS n",
        MANY_TASKS,
        "ANALYZE tasks",
    )
    statement = queue_rows._PAGE.replace("$1", "''").replace("$2", "50")
    [row] = await run_sql(database_url, f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}")
    [plan] = orjson.loads(row[0])
    assert plan["Plan"]["Actual Rows"] == 10
    # The tasks alone have hundreds of pages.
    assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 200


async def test_a_storm_of_pauses_ends_as_the_last_answer_says(database_url: str, nats_url: str) -> None:
    """Through two stores, one of which ends in the middle of it; what is asked to be processed meanwhile waits."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running_store(database_url, nats_url))
        store = await stack.enter_async_context(store_client(nats_url))
        task = await store.create(queue="web")
        async with running_store(database_url, nats_url):
            commands = [registry.PAUSE_QUEUE, registry.RESUME_QUEUE] * 10
            await asyncio.gather(*(store.ask(command, name="web") for command in commands))
        await store.ask(registry.PAUSE_QUEUE, name="web")
        assert await paused_consumers(store, "web") == [True] * 4
        await store.ask(registry.PROCESS, id=task["id"])
        assert (await store.get(task["id"]))["waiting_for"]["reason"] == "resume"
        await store.ask(registry.RESUME_QUEUE, name="web")
        await are_paused(store, "web", paused=False, within_seconds=3)
