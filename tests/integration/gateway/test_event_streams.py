"""Following the log over HTTP, on real servers."""

import asyncio
import socket
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import httpx
import nats
import pytest
from nats.js.errors import NotFoundError

from taskmill.cli.embedded.nats import NatsServer
from taskmill.contracts.streams import EVENTS_STREAM
from taskmill.gateway.actors import event_feed
from taskmill.gateway.actors.event_feed import EventFeed
from taskmill.task_store.actors import relay
from tests.support.event_stream import streaming
from tests.support.eventually import eventually, holds
from tests.support.gateway import assert_problem
from tests.support.running_service import running_service
from tests.support.services import running_gateway, running_services, task_store

STREAM = {"Accept": "text/event-stream"}
WHOLE_LIFE = ["created", "queued", "started", "completed"]


async def _create(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    response = await client.post("/tasks", json={"title": "a title", **fields})
    assert response.status_code == 201, response.text
    task: dict[str, Any] = response.json()
    return task


async def test_what_happened_comes_first_then_what_happens(client: httpx.AsyncClient) -> None:
    """Without a hole or a repeat in between, each with its position, the same bytes as in the page."""
    first = await _create(client)
    async with streaming(client, "/events?after=0") as stream:
        [past] = await stream.take(1)
        second = await _create(client, process=True)
        future = await stream.take(2)
    assert [(event.type, event.data["subject"]) for event in [past, *future]] == [
        ("created", first["id"]),
        ("created", second["id"]),
        ("queued", second["id"]),
    ]
    page = (await client.get("/events")).json()
    assert [(item["position"], item["event"]) for item in page["items"]] == [
        (event.id, event.data) for event in [past, *future]
    ]
    assert page["next_after"] == page["newest"] == future[-1].id


async def test_without_a_position_only_what_happens_from_now_on(client: httpx.AsyncClient) -> None:
    """But who comes again before anything happened has a position all the same."""
    await _create(client, title="before")
    async with streaming(client, "/events") as stream:
        await _create(client, title="now")
        [event] = await stream.take(1)
    assert event.data["data"]["title"] == "now"
    async with streaming(client, "/events") as stream, asyncio.timeout(5):
        # The position comes before anything else.
        reading = asyncio.ensure_future(stream.next())
        await eventually(lambda: stream.last_id == event.id)
        reading.cancel()


async def test_last_event_id_beats_the_position_in_the_address(client: httpx.AsyncClient) -> None:
    """A browser comes again to the same address, and says what it has in the header."""
    tasks = [await _create(client) for _ in range(3)]
    async with streaming(client, "/events?after=0", last_event_id=2) as stream:
        [event] = await stream.take(1)
    assert (event.id, event.data["subject"]) == (3, tasks[2]["id"])


@pytest.mark.parametrize("live", [False, True], ids=["from the log", "live"])
async def test_filters(client: httpx.AsyncClient, *, live: bool) -> None:
    """Each condition is met by what is read from the log and by what happens, alike."""
    conditions = ["kind=slow", "queue=other", "label=team:web", "label=team", "type=queued", "type=queued&kind=slow"]

    async def make() -> list[str]:
        await _create(client)
        task = await _create(client, kind="slow", queue="other", labels={"team": "web"}, process=True)
        await _create(client, kind="end")
        return ["created", "queued"] if task else []

    async def expect(condition: str) -> None:
        async with streaming(client, f"/events?{condition}&after=0") as stream:
            ready.release()
            found = await stream.take(1 if "type" in condition else 2)
            assert {event.data["data"]["kind"] for event in found} == {"slow"}
            assert [event.type for event in found] == (["queued"] if "type" in condition else ["created", "queued"])

    ready = asyncio.Semaphore(0)
    if not live:
        await make()
    async with asyncio.TaskGroup() as streams:
        for condition in conditions:
            streams.create_task(expect(condition))
        for _ in conditions:
            await ready.acquire()
        if live:
            await make()
    page = (await client.get("/events?label=team:other")).json()
    assert (page["items"], page["next_after"]) == ([], page["newest"])


async def test_a_task_is_followed_from_its_first_event(database_url: str, nats_url: str) -> None:
    """The whole history, and on: also of a task that is deleted meanwhile."""
    async with running_services(database_url, nats_url) as services:
        task = await _create(services.client, process=True)
        async with streaming(services.client, f"/tasks/{task['id']}/events") as stream:
            assert [event.type for event in await stream.take(4)] == WHOLE_LIFE
            await services.client.delete(f"/tasks/{task['id']}")
            assert [event.type for event in await stream.take(1)] == ["deleted"]
        missing = await services.client.get(
            "/tasks/01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42/events", headers={"Accept": "text/event-stream"}
        )
        assert_problem(missing, 404, "task_not_found")


async def test_a_position_that_the_log_does_not_have(client: httpx.AsyncClient) -> None:
    """It is said, and the stream goes on with what happens."""
    await _create(client)
    async with streaming(client, "/events", last_event_id=4711) as stream:
        [reset] = await stream.take(1)
        assert (reset.type, reset.id, reset.data) == ("reset", 1, {"oldest": 1, "newest": 1, "removed": 0, "epoch": 0})
        await _create(client)
        assert [(event.type, event.id) for event in await stream.take(1)] == [("created", 2)]
    refused = await client.get("/events", headers={"Accept": "text/event-stream", "Last-Event-ID": "x"})
    assert_problem(refused, 422, "invalid_request")


async def test_head_does_not_stream(client: httpx.AsyncClient) -> None:
    """It would never end."""
    response = await client.head("/events", headers={"Accept": "text/event-stream"})
    assert (response.status_code, response.content) == (200, b"")


async def test_nothing_is_missed_while_nats_is_away(database_url: str, nats_server: NatsServer) -> None:
    """What was committed meanwhile, and published again to a stream made anew, comes once, in order."""
    async with running_services(database_url, nats_server.url, processors=0) as services:
        client = services.client
        async with streaming(client, "/events?after=0") as stream:
            await _create(client)
            seen = await stream.take(1)
            await nats_server.stop()
            await nats_server.start()
            await holds(lambda: _check_ready(client), within_seconds=20)
            for _ in range(20):
                await _create(client)
            seen += await stream.take(20, within_seconds=30)
        assert [event.id for event in seen] == list(range(1, 22))


async def _check_ready(client: httpx.AsyncClient) -> None:
    response = await client.get("/readyz")
    assert response.status_code == 200, response.text


async def test_a_message_that_is_lost_is_read_from_the_log(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one says that it is not the next one."""
    hear = EventFeed._on_message
    lost: list[bytes] = []

    def hear_badly(feed: EventFeed, subject: bytes, reply: bytes, body: bytes, headers: bytes | None) -> None:
        if b".queued." in subject and not lost:
            lost.append(subject)
        else:
            hear(feed, subject, reply, body, headers)

    monkeypatch.setattr(EventFeed, "_on_message", hear_badly)
    async with streaming(client, "/events?after=0") as stream:
        await _create(client, process=True)
        [created] = await stream.take(1)
        await _create(client)
        rest = await stream.take(2)
    assert lost
    assert [(event.id, event.type) for event in [created, *rest]] == [(1, "created"), (2, "queued"), (3, "created")]


async def test_the_last_message_that_is_lost_is_found_out_by_looking(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing comes after it that could tell."""
    monkeypatch.setattr(event_feed, "LOOK_INTERVAL_SECONDS", 0.2)
    monkeypatch.setattr(EventFeed, "_on_message", lambda *_: None)
    async with streaming(client, "/events?after=0") as stream:
        await _create(client)
        assert [event.type for event in await stream.take(1)] == ["created"]


async def test_who_is_too_slow_is_cut_off_and_comes_again(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more waits for a client than it may: it gets what waited, and the rest when it comes again."""
    monkeypatch.setattr(event_feed, "WAITING_EVENTS", 3)
    async with streaming(client, "/events?after=0") as stream:
        await client.post("/tasks/batch", json={"tasks": [{"title": "t"}] * 50})
        seen = []
        async with asyncio.timeout(10):
            while (event := await stream.next()) is not None:
                seen.append(event.id)
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) < 50
    async with streaming(client, "/events", last_event_id=stream.last_id) as stream:
        seen += [event.id for event in await stream.take(50 - len(seen))]
    assert seen == list(range(1, 51))


async def test_too_many_streams_are_refused(database_url: str, nats_url: str) -> None:
    """With a 503 before anything is sent."""
    async with (
        running_service(await task_store(database_url, nats_url)),
        running_gateway(nats_url, max_followers=1) as client,
        streaming(client, "/events?after=0") as stream,
    ):
        await _create(client)
        await stream.take(1)
        response = await client.get("/events", headers={"Accept": "text/event-stream"})
        assert "TASKMILL_MAX_FOLLOWERS" in assert_problem(response, 503, "overloaded")["detail"]


async def test_no_more_get_in_by_coming_together(database_url: str, nats_url: str) -> None:
    """Whoever follows, and whoever waits, is counted before anybody else is let in."""
    async with (
        running_service(await task_store(database_url, nats_url)),
        running_gateway(nats_url, max_followers=2) as client,
    ):
        path = f"/tasks/{(await _create(client))['id']}"
        waits = await asyncio.gather(*[client.get(f"{path}?wait=1") for _ in range(20)])
        assert Counter(answer.status_code for answer in waits) == {200: 2, 503: 18}

        async with AsyncExitStack() as stack:
            asked = [
                stack.enter_async_context(client.stream("GET", f"{path}/events", headers=STREAM)) for _ in range(20)
            ]
            streams = await asyncio.gather(*asked)
            assert Counter(answer.status_code for answer in streams) == {200: 2, 503: 18}


async def test_a_gateway_that_stops_ends_its_streams(database_url: str, nats_url: str) -> None:
    """As a stream ends that is whole, and at once: nobody who listens holds up the drain."""
    async with running_service(await task_store(database_url, nats_url)):
        gateway = running_gateway(nats_url)
        client = await gateway.__aenter__()
        async with (
            httpx.AsyncClient(base_url=client.base_url, trust_env=False) as listener,
            streaming(listener, "/events?after=0") as stream,
        ):
            await _create(client)
            await stream.take(1)
            async with asyncio.timeout(3):
                await gateway.__aexit__(None, None, None)
                assert await stream.next() is None


async def test_who_takes_nothing_does_not_hold_up_the_end(database_url: str, nats_url: str) -> None:
    """Its connection is closed, whatever is still to be sent: the drain need not wait until its time is over."""
    async with running_service(await task_store(database_url, nats_url)):
        gateway = running_gateway(nats_url)
        client = await gateway.__aenter__()
        # More than what buffers on the way hold.
        for _ in range(24):
            await _create(client, payload="x" * 250_000)
        readers = [await _asked(client, "/events?after=0") for _ in range(3)]
        started_at = asyncio.get_running_loop().time()
        await gateway.__aexit__(None, None, None)
        assert asyncio.get_running_loop().time() - started_at < 5
        for reader in readers:
            reader.close()


async def _asked(client: httpx.AsyncClient, path: str) -> socket.socket:
    """Ask for a stream, and read no more than that there is one."""
    connection = socket.socket()
    # So little that the stream cannot go far.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, (client.base_url.host, client.base_url.port))
    await loop.sock_sendall(connection, f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".encode())
    assert (await loop.sock_recv(connection, 15)).startswith(b"HTTP/1.1 200")
    return connection


async def test_the_stream_on_nats_may_be_lost(database_url: str, nats_server: NatsServer) -> None:
    """Whoever follows the gateway does not notice that TASK_EVENTS is deleted."""
    async with running_services(database_url, nats_server.url, processors=0) as services:
        connection = await nats.connect(nats_server.url)
        async with streaming(services.client, "/events?after=0") as stream:
            await _create(services.client)
            await connection.jetstream().delete_stream(EVENTS_STREAM)
            for _ in range(10):
                await _create(services.client)
            seen = await stream.take(11)
        await connection.close()
    assert [event.id for event in seen] == list(range(1, 12))


async def test_who_follows_while_the_stream_on_nats_is_filled_again(
    database_url: str, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New events come before they are on NATS, which has the old ones first; who comes just then gets all, once."""
    old, new = 2_000, 10
    monkeypatch.setattr(relay, "MAX_EVENTS_AT_ONCE", 4)
    async with running_services(database_url, nats_server.url, processors=0) as services:
        client = services.client
        connection = await nats.connect(nats_server.url)
        jetstream = connection.jetstream()

        async def on_nats() -> int:
            try:
                return (await jetstream.stream_info(EVENTS_STREAM)).state.messages
            except NotFoundError:
                return 0

        async def check_on_nats(count: int) -> None:
            assert await on_nats() == count

        for _ in range(old // 1_000):
            await client.post("/tasks/batch", json={"tasks": [{"title": "old"}] * 1_000})
        await holds(lambda: check_on_nats(old), within_seconds=30)
        async with streaming(client, f"/events?after={old - 1}") as stream:
            await stream.take(1)
            await jetstream.delete_stream(EVENTS_STREAM)
            # Each of these says to the relay that something is there to be published: now it notices.
            tasks = [await _create(client) for _ in range(new)]
            waiting = asyncio.ensure_future(client.get(f"/tasks/{tasks[0]['id']}?wait=20"))
            seen = await stream.take(new)
            assert await on_nats() < old, "it was filled before anybody could look"
            async with streaming(client, "/events?after=0") as latecomer:
                whole = await latecomer.take(old + new)
                await client.post(f"/tasks/{tasks[0]['id']}/cancel")
                seen += await stream.take(1)
                whole += await latecomer.take(1)
            assert (await waiting).json()["status"] == "cancelled"
            await holds(lambda: check_on_nats(old + new + 1), within_seconds=30)
            last = await _create(client)
            seen += await stream.take(1)
        await connection.close()
    assert [event.id for event in seen] == list(range(old + 1, old + new + 3))
    assert [event.id for event in whole] == list(range(1, old + new + 2))
    assert seen[-1].data["subject"] == last["id"]


async def test_positions_at_the_end_of_all_numbers(client: httpx.AsyncClient) -> None:
    """Behind the last one there is nothing; what is no position is refused, however long it is."""
    await _create(client)
    for after in (2**63 - 1, 2**63 - 10_000):
        page = (await client.get(f"/events?after={after}")).json()
        assert (page["items"], page["next_after"], page["newest"]) == ([], after, 1)
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "9" * 5_000}
    assert_problem(await client.get("/events", headers=headers), 422, "invalid_request")
