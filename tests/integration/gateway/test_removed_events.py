"""What somebody is told who comes to the log when its begin was removed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from taskmill.gateway.actors import event_feed
from taskmill.gateway.actors.event_feed import EventFeed
from taskmill.gateway.adapters.log import Log, LogSlice
from taskmill.gateway.adapters.shared_log import SharedLog
from taskmill.gateway.domain.following import EventFilter
from tests.support.event_stream import streaming
from tests.support.gateway import assert_problem
from tests.support.removed_events import remove_all_events

KEPT_EVENTS = ["updated", "deleted", "created"]


@pytest.fixture
async def tasks(client: httpx.AsyncClient, database_url: str) -> list[dict[str, Any]]:
    """Two tasks whose first events were removed. Kept are the end of one, and the begin of a third."""
    tasks = [await _post(client) for _ in range(2)]
    await remove_all_events(database_url)
    await client.patch(
        f"/tasks/{tasks[0]['id']}",
        json={"title": "changed"},
        headers={"Content-Type": "application/merge-patch+json", "If-Match": '"1"'},
    )
    await client.delete(f"/tasks/{tasks[0]['id']}")
    return [*tasks, await _post(client)]


async def _post(client: httpx.AsyncClient) -> dict[str, Any]:
    response = await client.post("/tasks", json={"title": "a title"})
    assert response.status_code == 201, response.text
    task: dict[str, Any] = response.json()
    return task


async def test_pages_name_what_was_removed(client: httpx.AsyncClient, tasks: list[dict[str, Any]]) -> None:
    """Those of the log by position, those of a task by sequence."""
    page = (await client.get("/events")).json()
    assert [item["event"]["type"].split(".")[2] for item in page["items"]] == KEPT_EVENTS
    assert (page["oldest"], page["newest"], page["removed"]) == (3, 5, 2)
    for task, sequences, removed in [(tasks[0], [2, 3], 1), (tasks[1], [], 1), (tasks[2], [1], 0)]:
        history = (await client.get(f"/tasks/{task['id']}/events")).json()
        assert ([event["sequence"] for event in history["items"]], history["removed"]) == (sequences, removed)


async def test_who_comes_with_a_position_that_was_removed_is_told_to_begin_anew(
    client: httpx.AsyncClient, tasks: list[dict[str, Any]]
) -> None:
    """There was something behind it that nobody can tell any more; the stream goes on with what happens."""
    async with streaming(client, "/events", last_event_id=1) as stream:
        [reset] = await stream.take(1)
        assert (reset.type, reset.id, reset.data) == ("reset", 5, {"oldest": 3, "newest": 5, "removed": 2, "epoch": 0})
        await client.delete(f"/tasks/{tasks[2]['id']}")
        assert [(event.type, event.id) for event in await stream.take(1)] == [("deleted", 6)]


async def test_who_has_all_that_was_removed_goes_on(client: httpx.AsyncClient, tasks: list[dict[str, Any]]) -> None:
    """Nothing is missing."""
    assert tasks
    async with streaming(client, "/events", last_event_id=2) as stream:
        assert [event.type for event in await stream.take(3)] == KEPT_EVENTS


async def test_who_wants_all_from_the_beginning_is_told_what_is_missing(
    client: httpx.AsyncClient, tasks: list[dict[str, Any]]
) -> None:
    """And gets the rest; who comes again behind it is not told again."""
    assert tasks
    async with streaming(client, "/events?after=0") as stream:
        removed, *kept = await stream.take(4)
    assert (removed.type, removed.id, removed.data) == ("removed", 2, {"removed": 2})
    assert [event.type for event in kept] == KEPT_EVENTS
    async with streaming(client, "/events?after=0", last_event_id=removed.id) as stream:
        assert [event.type for event in await stream.take(3)] == KEPT_EVENTS


async def test_the_stream_of_a_task_says_whether_its_history_is_whole(
    client: httpx.AsyncClient, tasks: list[dict[str, Any]]
) -> None:
    """By the sequence of its events; that others lost theirs is no matter."""
    async with streaming(client, f"/tasks/{tasks[0]['id']}/events") as stream:
        assert [(event.type, event.data.get("removed")) for event in await stream.take(3)] == [
            ("removed", 1),
            ("updated", None),
            ("deleted", None),
        ]
    async with streaming(client, f"/tasks/{tasks[2]['id']}/events") as stream:
        assert [event.type for event in await stream.take(1)] == ["created"]


async def test_a_follower_does_not_notice_that_all_was_removed(client: httpx.AsyncClient, database_url: str) -> None:
    """What it has read already is no matter to it, and positions go on where they were."""
    await _post(client)
    async with streaming(client, "/events?after=0") as stream:
        await stream.take(1)
        await remove_all_events(database_url)
        async with streaming(client, "/events", last_event_id=1) as second:
            await _post(client)
            assert [(event.type, event.id) for event in await stream.take(1)] == [("created", 2)]
            assert [(event.type, event.id) for event in await second.take(1)] == [("created", 2)]


async def test_of_a_task_that_is_gone_with_all_its_events_nothing_is_known(
    client: httpx.AsyncClient, database_url: str
) -> None:
    """As of one that never was."""
    task = await _post(client)
    await client.delete(f"/tasks/{task['id']}")
    await remove_all_events(database_url)
    assert_problem(await client.get(f"/tasks/{task['id']}/events"), 404, "task_not_found")


@pytest.mark.parametrize(("last_id", "told"), [(None, "removed"), (1, "reset")])
async def test_what_is_removed_before_it_is_read_is_told(
    client: httpx.AsyncClient, database_url: str, monkeypatch: pytest.MonkeyPatch, last_id: int | None, told: str
) -> None:
    """The stream ends there; who comes again is told as anybody who comes then."""
    for _ in range(2):
        await _post(client)
    read = SharedLog.behind

    async def read_too_late(log: SharedLog, position: int, wanted: EventFilter) -> LogSlice:
        await remove_all_events(database_url)
        return await read(log, position, wanted)

    monkeypatch.setattr(SharedLog, "behind", read_too_late)
    async with streaming(client, "/events?after=0", last_event_id=last_id) as stream, asyncio.timeout(15):
        assert await stream.next() is None
    monkeypatch.setattr(SharedLog, "behind", read)
    async with streaming(client, "/events?after=0", last_event_id=stream.last_id) as stream:
        assert [event.type for event in await stream.take(1)] == [told]


async def test_a_feed_that_missed_what_was_removed_ends_its_streams(
    client: httpx.AsyncClient, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot go on without a hole; who comes again is told."""
    read = Log.up_to_now

    async def read_too_late(log: Log, position: int, wanted: EventFilter) -> AsyncIterator[LogSlice]:
        if (await log.ends()).newest > position:
            await remove_all_events(database_url)
        async for found in read(log, position, wanted):
            yield found

    monkeypatch.setattr(EventFeed, "_on_message", lambda *_: None)
    monkeypatch.setattr(Log, "up_to_now", read_too_late)
    monkeypatch.setattr(event_feed, "LOOK_INTERVAL_SECONDS", 0.2)
    await _post(client)
    async with streaming(client, "/events?after=0") as stream, asyncio.timeout(15):
        await stream.take(1)
        await _post(client)
        assert await stream.next() is None
    async with streaming(client, "/events", last_event_id=stream.last_id) as stream:
        assert [event.type for event in await stream.take(1)] == ["reset"]
