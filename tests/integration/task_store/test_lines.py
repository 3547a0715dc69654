"""The lines of a task, on a real PostgreSQL: each once, a thousand at most, and gone with its task."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import orjson
import pytest

from taskmill.contracts import registry
from taskmill.contracts.limits import MAX_LINES_IN_A_REPORT, MAX_TASK_LINES
from taskmill.contracts.streams import SET_ASIDE_STREAM
from taskmill.contracts.subjects import SET_ASIDE_REPORTS_SUBJECT
from taskmill.task_store.actors import report_intake
from taskmill.task_store.domain.patience import Patience
from tests.support.task_store import (
    STARTED_AT,
    Document,
    StoreClient,
    new_id,
    report,
    run_sql,
    running_store,
    store_with_client,
)


def written(task_id: str, *texts: str, first_number: int = 1, dropped: int = 0, **fence: int) -> Document:
    """A report of lines."""
    lines = [{"at": STARTED_AT, "level": "info", "text": text} for text in texts]
    return report("logged", task_id, first_number=first_number, dropped=dropped, lines=lines, **fence)


async def pages(store: StoreClient, task_id: str, **wanted: Any) -> list[Document]:
    """The lines of a task, page by page."""
    found = [await store.ask(registry.LINES, task_id=task_id, **wanted)]
    while (cursor := found[-1]["next_cursor"]) is not None:
        found.append(await store.ask(registry.LINES, task_id=task_id, cursor=cursor, **wanted))
    return found


def texts(found: Sequence[Document]) -> list[str]:
    """What the lines of some pages say."""
    return [line["text"] for page in found for line in page["items"]]


async def publish(store: StoreClient, *reports: Document) -> None:
    """A bundle, which need not be taken in at once."""
    await store.publish_report(orjson.dumps({"processor_id": "processor-1", "reports": reports}))


async def running(store: StoreClient, **fields: Any) -> str:
    """A task in progress."""
    task = await store.create(process=True, **fields)
    await store.report(report("started", task["id"]))
    task_id: str = task["id"]
    return task_id


async def test_lines_are_kept_and_told(store: StoreClient) -> None:
    """A report of them is one event, with the lines as a page shows them."""
    task_id = await running(store)
    await store.report(written(task_id, "ä", "b"), report("completed", task_id))
    [page] = await pages(store, task_id)
    assert page == {
        "items": [
            {"at": STARTED_AT, "level": "info", "text": text, "position": position, "attempt": 1}
            for position, text in [(1, "ä"), (2, "b")]
        ],
        "dropped": 0,
        "next_cursor": None,
    }
    assert await store.event_types(task_id) == ["created", "queued", "started", "logged", "completed"]
    event = (await store.events(task_id))[3]
    assert (event["data"]["lines"], event["data"]["dropped"]) == (page["items"], 0)


async def test_a_bundle_that_comes_again_adds_nothing(store: StoreClient) -> None:
    """Neither while the attempt goes on, nor after it, nor from another execution."""
    task_id = await running(store)
    bundle = [report("started", task_id), written(task_id, "a", "b")]
    await store.report(*bundle)
    await store.report(written(task_id, "c", first_number=3))
    before = await store.get(task_id)
    await store.report(*bundle)
    await store.report(written(task_id, "stale", first_number=9, dispatch=2))
    await store.report(written(task_id, "stale", first_number=9), processor_id="processor-2")
    assert await store.get(task_id) == before
    await store.report(report("completed", task_id))
    await store.report(written(task_id, "late", first_number=9))
    assert texts(await pages(store, task_id)) == ["a", "b", "c"]


async def test_executions_write_behind_each_other(store: StoreClient) -> None:
    """Whoever takes the attempt over counts anew."""
    task_id = await running(store, max_attempts=2)
    await store.report(written(task_id, "first"))
    await store.report(report("started", task_id, delivery=2), written(task_id, "second", delivery=2))
    [page] = await pages(store, task_id)
    assert [(line["position"], line["text"]) for line in page["items"]] == [(1, "first"), (2, "second")]


async def test_the_oldest_lines_are_dropped_and_counted(store: StoreClient, database_url: str) -> None:
    """A thousand stay, in pages; so many positions are missing as lines are said to be dropped."""
    task_id = await running(store)
    numbers = range(1, MAX_TASK_LINES + 1)
    for first in numbers[::MAX_LINES_IN_A_REPORT]:
        lines = [f"line {number}" for number in range(first, first + MAX_LINES_IN_A_REPORT)]
        await store.publish_report(
            orjson.dumps({"processor_id": "processor-1", "reports": [written(task_id, *lines, first_number=first)]})
        )
    await store.reports_settled()
    found = await pages(store, task_id, limit=200)
    assert texts(found) == [f"line {number}" for number in numbers]
    assert {page["dropped"] for page in found} == {0}
    await store.report(written(task_id, "line 1001", first_number=1_001))
    found = await pages(store, task_id, limit=7)
    assert texts(found) == [f"line {number}" for number in range(2, 1_002)]
    assert {page["dropped"] for page in found} == {1}
    await store.report(written(task_id, "line 1010", first_number=1_010, dropped=8))
    found = await pages(store, task_id, limit=200)
    assert texts(found) == [*(f"line {number}" for number in range(11, 1_002)), "line 1010"]
    assert found[0]["dropped"] == 1_010 - len(texts(found))
    assert (await store.events(task_id))[-1]["data"]["dropped"] == 8
    (row,) = await run_sql(database_url, "SELECT count(*) FROM task_lines")
    assert row["count"] == len(texts(found))


async def test_a_line_that_cannot_be_stored_spoils_nothing(store: StoreClient) -> None:
    """An SDK replaces U+0000; from another processor such a report is left out, and its neighbours count."""
    task_id = await running(store)
    await store.report(
        written(task_id, "before"), written(task_id, "\x00", first_number=2), report("completed", task_id)
    )
    assert (await store.get(task_id))["status"] == "completed"
    assert texts(await pages(store, task_id)) == ["before"]


async def test_nothing_overtakes_lines(store: StoreClient) -> None:
    """As when another store has the bundle before in hand: later lines and the end come again until it is there."""
    task_id = await running(store)
    await publish(store, report("completed", task_id, logged=3))
    await publish(store, written(task_id, "c", first_number=3))
    await store.reports_looked_at()
    assert (await store.get(task_id))["status"] == "in_progress"
    await store.report(written(task_id, "a", "b"))
    assert await store.event_types(task_id) == ["created", "queued", "started", "logged", "logged", "completed"]
    assert texts(await pages(store, task_id)) == ["a", "b", "c"]


async def test_what_comes_with_an_end_that_waits_is_taken_in_once(store: StoreClient) -> None:
    """However long the end waits: progress of another task must not come back behind newer progress."""
    task_id, other_id = await running(store), await running(store)
    await publish(
        store, report("progressed", other_id, progress={"fraction": 0.3}), report("completed", task_id, logged=1)
    )
    await publish(store, report("progressed", other_id, progress={"fraction": 0.9}))
    await store.reports_looked_at()
    await store.report(written(task_id, "a"))
    assert await store.event_types(task_id) == ["created", "queued", "started", "logged", "completed"]
    told = [event["data"]["progress"] for event in await store.events(other_id) if "progress" in event["data"]]
    assert [progress["fraction"] for progress in told] == [0.3, 0.9]


async def test_nothing_overtakes_the_start(store: StoreClient) -> None:
    """Lines without a start before them would not count."""
    task_id = (await store.create(process=True))["id"]
    await publish(store, report("completed", task_id, logged=1))
    await publish(store, written(task_id, "a"))
    await store.reports_looked_at()
    assert (await store.get(task_id))["status"] == "queued"
    await store.report(report("started", task_id))
    assert await store.event_types(task_id) == ["created", "queued", "started", "logged", "completed"]


async def test_two_stores_lose_no_line(database_url: str, nats_url: str) -> None:
    """However often the bundle with the end comes to the store that is the first to take it in."""
    async with store_with_client(database_url, nats_url) as store, running_store(database_url, nats_url):
        task_ids = [(await store.create(process=True))["id"] for _ in range(60)]
        for task_id in task_ids:
            await publish(store, report("started", task_id), written(task_id, "a"))
            await publish(store, written(task_id, "b", first_number=2))
            await publish(store, report("completed", task_id, logged=2))
        await store.reports_settled()
        told = {tuple(await store.event_types(task_id)) for task_id in task_ids}
        assert told == {("created", "queued", "started", "logged", "logged", "completed")}


async def test_lost_lines_hold_no_end_up_for_ever(
    database_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When patience is over, what is there counts; and later the lines change nothing."""
    monkeypatch.setattr(report_intake, "Patience", partial(Patience, 0.5))
    async with store_with_client(database_url, nats_url) as store:
        task_id, quick_id = await running(store), (await store.create(process=True))["id"]
        await store.report(written(task_id, "b", first_number=2), report("completed", task_id, logged=2))
        await store.report(report("completed", quick_id, logged=1))
        assert await store.event_types(task_id) == ["created", "queued", "started", "logged", "completed"]
        assert await store.event_types(quick_id) == ["created", "queued", "started", "completed"]
        await store.report(written(task_id, "a"))
        assert texts(await pages(store, task_id)) == ["b"]


async def test_a_line_that_cannot_be_stored_is_set_aside_once(
    database_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often its bundle is asked for, for the sake of the end that follows it."""
    monkeypatch.setattr(report_intake, "Patience", partial(Patience, 0.5))
    async with store_with_client(database_url, nats_url) as store:
        task_id = await running(store)
        await store.report(written(task_id, "\x00"), report("completed", task_id, logged=1))
        assert (await store.get(task_id))["status"] == "completed"
        [found] = await store.messages(SET_ASIDE_STREAM)
        assert found.subject == SET_ASIDE_REPORTS_SUBJECT


async def test_lines_go_with_their_task(store: StoreClient, database_url: str) -> None:
    """Its events stay."""
    task_id = await running(store)
    await store.report(written(task_id, "a"))
    await store.ask(registry.DELETE, id=task_id, force=True)
    assert await store.refusal(registry.LINES, task_id=task_id) == "task_not_found"
    assert await run_sql(database_url, "SELECT * FROM task_lines") == []
    assert (await store.event_types(task_id))[-3:] == ["logged", "cancelled", "deleted"]


async def test_a_task_may_have_no_lines(store: StoreClient) -> None:
    """That is an empty page; a task that does not exist is an error."""
    task = await store.create()
    assert await pages(store, task["id"]) == [{"items": [], "dropped": 0, "next_cursor": None}]
    assert await store.refusal(registry.LINES, task_id=new_id()) == "task_not_found"


@pytest.mark.parametrize("cursor", ["x", "W10", "Wy0xXQ", "WzkyMjMzNzIwMzY4NTQ3NzU4MDhd"])
async def test_a_made_up_cursor_is_refused(cursor: str, store: StoreClient) -> None:
    """Neither text nor a number that no line can have."""
    task = await store.create()
    assert await store.refusal(registry.LINES, task_id=task["id"], cursor=cursor) == "invalid_request"


async def test_an_event_of_a_newer_store_is_published(store: StoreClient, database_url: str) -> None:
    """Stores are replaced one after another: the one that leads publishes what it does not know, too."""
    task = await store.create()
    await store.published(1)
    document = orjson.dumps({"id": f"{task['id']}.2", "type": "taskmill.task.invented.v1"}).decode()
    await run_sql(
        database_url,
        "INSERT INTO task_events (task_id, version, type, kind, document) "  # noqa: S608 -- nobody's but ours
        f"VALUES ('{task['id']}', 2, 'invented', 'echo', '{document}')",
    )
    [_, message] = await store.published(2)
    assert message.subject == f"tasks.v1.event.invented.echo.{task['id']}"
    assert message.data == document.encode()
