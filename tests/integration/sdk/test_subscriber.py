"""Following the log over NATS with the SDK, on real servers, as the user who may only read."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import nats
import pytest

from taskmill.cli.embedded.nats import NatsServer
from taskmill.cli.embedded.nats_users import NatsUsers
from taskmill.contracts.errors import BusUnavailableError, StoreUnavailableError
from taskmill.contracts.events import EventType
from taskmill.contracts.streams import EVENTS_STREAM
from taskmill.sdk.subscribing import AccessRefusedError, Event, LogSetBackError, Subscriber, SubscriberSettings
from tests.support.eventually import eventually
from tests.support.services import Services, running_services
from tests.support.task_store import logged

WHOLE_LIFE = ["created", "queued", "started", "completed"]


@asynccontextmanager
async def subscribed(url: str, *, waiting_events: int = 10_000, **options: Any) -> AsyncIterator[Subscriber]:
    """A subscriber that is connected."""
    settings = SubscriberSettings(nats_url=url, subscriber_waiting_events=waiting_events)
    async with Subscriber(settings, **options) as subscriber:
        yield subscriber


@asynccontextmanager
async def following(subscriber: Subscriber, after: int | None = 0) -> AsyncIterator[AsyncGenerator[Event]]:
    """What a subscriber hands out."""
    async with aclosing(subscriber.events(after=after)) as events:
        yield events


async def take(events: AsyncGenerator[Event], count: int, *, within_seconds: float = 20) -> list[Event]:
    """The next events, so many."""
    taken: list[Event] = []
    try:
        async with asyncio.timeout(within_seconds):
            while len(taken) < count:
                taken.append(await anext(events))
    except TimeoutError:
        raise AssertionError(f"{count} events awaited, so far {taken}") from None
    return taken


@asynccontextmanager
async def expecting(events: AsyncGenerator[Event]) -> AsyncIterator[None]:
    """Ask for an event that does not come meanwhile."""
    waiting = asyncio.ensure_future(anext(events))
    try:
        yield
    finally:
        waiting.cancel()
        await asyncio.wait({waiting})


async def create(services: Services, **fields: Any) -> UUID:
    """Create a task; return its id."""
    response = await services.client.post("/tasks", json={"title": "a title", **fields})
    assert response.status_code == 201, response.text
    return UUID(response.json()["id"])


def seen(events: list[Event]) -> list[tuple[int, str]]:
    """Position and document of events, as `logged` tells them."""
    return [(event.position, event.document.decode()) for event in events]


async def test_what_happened_comes_first_then_what_happens(database_url: str, nats_server: NatsServer) -> None:
    """Exactly the log, in its order, byte for byte."""
    async with running_services(database_url, nats_server.url) as services, subscribed(nats_server.reader_url) as one:
        await create(services, process=True)
        async with following(one) as events:
            past = await take(events, 4)
            task_id = await create(services, kind="echo", process=True)
            new = await take(events, 4)
        assert [event.type for event in new] == WHOLE_LIFE
        assert [(event.task_id, event.kind, event.version) for event in new] == [
            (task_id, "echo", version) for version in (1, 2, 3, 4)
        ]
        assert new[-1].data["status"] == "completed"
        assert seen(past + new) == await logged(database_url)


async def test_without_a_position_only_what_happens_from_now_on(database_url: str, nats_server: NatsServer) -> None:
    """And where it ends there, it can begin again later."""
    async with (
        running_services(database_url, nats_server.url, processors=0) as services,
        subscribed(nats_server.reader_url) as one,
    ):
        await create(services)
        async with following(one, after=None) as events:
            first = asyncio.ensure_future(anext(events))
            await eventually(lambda: one.position == 1)
            task_id = await create(services)
            assert (await first).task_id == task_id
        await create(services)
        async with following(one, after=2) as events:
            assert [event.position for event in await take(events, 1)] == [3]


def _fail_if(condition: bool) -> None:
    if condition:
        raise ZeroDivisionError


async def test_who_fails_may_go_on_at_once(database_url: str, nats_server: NatsServer) -> None:
    """Without closing the iterator: Python does it a moment after the error has left the loop."""
    async with (
        running_services(database_url, nats_server.url, processors=0) as services,
        subscribed(nats_server.reader_url) as one,
    ):
        for _ in range(3):
            await create(services)
        position, failures = 0, 0
        async with asyncio.timeout(20):
            while position < 3:
                try:
                    async for event in one.events(after=position):
                        _fail_if(failures < event.position)
                        position = event.position
                        if position == 3:
                            break
                except ZeroDivisionError:
                    failures += 1
        assert failures == 3


@pytest.mark.parametrize("live", [False, True], ids=["from the log", "live"])
async def test_filters(database_url: str, nats_server: NatsServer, *, live: bool) -> None:
    """By type, kind and task, alike in the log and on NATS; the position moves on past what is not wanted."""
    async with (
        running_services(database_url, nats_server.url, processors=0) as services,
        subscribed(nats_server.reader_url, name="kind", kind="slow") as of_kind,
        subscribed(nats_server.reader_url, name="type", types=[EventType.QUEUED]) as of_type,
        subscribed(nats_server.reader_url, name="both", types=["created", "queued"], kind="slow") as of_both,
    ):
        followers = (of_kind, of_type, of_both)
        if not live:
            await _make_two(services)
        async with following(of_kind) as kinds, following(of_type) as types, following(of_both) as both:
            firsts = [asyncio.ensure_future(anext(events)) for events in (kinds, types, both)]
            if live:
                await eventually(lambda: [one.position for one in followers] == [0, 0, 0])
                await _make_two(services)
            got = [[await first] for first in firsts]
            got[0] += await take(kinds, 1)
            got[2] += await take(both, 1)
        assert [[(event.kind, str(event.type)) for event in events] for events in got] == [
            [("slow", "created"), ("slow", "queued")],
            [("slow", "queued")],
            [("slow", "created"), ("slow", "queued")],
        ]
        task_id = got[0][0].task_id
        async with subscribed(nats_server.reader_url, task_id=task_id) as of_task, following(of_task) as events:
            assert [event.version for event in await take(events, 2)] == [1, 2]
            async with expecting(events):
                await eventually(lambda: of_task.position == 4)


async def _make_two(services: Services) -> None:
    await create(services)
    await create(services, kind="slow", process=True)
    await create(services, kind="end")


async def test_a_subscriber_that_is_too_slow_reads_the_rest_from_the_log(
    database_url: str, nats_server: NatsServer
) -> None:
    """What does not fit its queue is neither kept nor missed."""
    async with (
        running_services(database_url, nats_server.url, processors=0) as services,
        subscribed(nats_server.reader_url, waiting_events=3) as one,
        following(one) as events,
    ):
        await create(services)
        await take(events, 1)
        for _ in range(20):
            await create(services)
        await eventually(lambda: one._arrivals.is_doubtful)
        assert seen(await take(events, 20)) == (await logged(database_url))[1:]
        assert one.log_reads > 1


async def test_the_stream_is_deleted(database_url: str, nats_server: NatsServer) -> None:
    """What is published again to the one that is made anew is dropped; what happened meanwhile is not missed."""
    async with (
        running_services(database_url, nats_server.url, processors=0) as services,
        subscribed(nats_server.reader_url) as one,
        subscribed(nats_server.reader_url, kind="echo") as of_kind,
        following(one) as events,
        following(of_kind) as events_of_kind,
    ):
        for _ in range(5):
            await create(services)
        await take(events, 5)
        await take(events_of_kind, 5)
        connection = await nats.connect(nats_server.url)
        assert await connection.jetstream().delete_stream(EVENTS_STREAM)
        await connection.close()
        for _ in range(5):
            await create(services)
        assert seen(await take(events, 5)) == (await logged(database_url))[5:]
        assert seen(await take(events_of_kind, 5)) == (await logged(database_url))[5:]


async def test_nothing_is_missed_while_nats_is_away(database_url: str, nats_server: NatsServer) -> None:
    """A server that is killed, and one whose streams are gone with it, cost time and nothing else."""
    async with (
        running_services(database_url, nats_server.url) as services,
        subscribed(nats_server.reader_url) as one,
        following(one) as events,
    ):
        await create(services, process=True)
        got = await take(events, 4)
        await nats_server.kill()
        waiting = asyncio.ensure_future(anext(events))
        await nats_server.start()

        async def is_created() -> bool:
            response = await services.client.post("/tasks", json={"title": "after", "process": True})
            return response.status_code == httpx.codes.CREATED

        await eventually(is_created, within_seconds=20)
        got.append(await waiting)
        got += await take(events, 3)
        assert seen(got) == await logged(database_url)


async def test_what_others_bring_into_the_stream_is_passed_over(database_url: str, nats_server: NatsServer) -> None:
    """A reader may have the server send its answers anywhere, so also to the subject of an event."""
    async with (
        running_services(database_url, nats_server.url, processors=0) as services,
        subscribed(nats_server.reader_url) as one,
        following(one) as events,
    ):
        task_id = await create(services)
        got = await take(events, 1)
        async with await nats.connect(nats_server.reader_url, inbox_prefix="_INBOX.reader.other") as other:
            subject = f"tasks.v1.event.completed.echo.{task_id}"
            await other.publish("$JS.API.STREAM.INFO.TASK_EVENTS", b"", reply=subject)

            async def is_there() -> bool:
                return (await other.jetstream().stream_info(EVENTS_STREAM)).state.messages == 2

            await eventually(is_there, within_seconds=10)
        await create(services)
        got += await take(events, 1)
        assert seen(got) == await logged(database_url)
        assert one.log_reads == 1


async def test_a_position_that_the_log_does_not_have(database_url: str, nats_server: NatsServer) -> None:
    """It is said, with where to go on: the database was set back."""
    async with (
        running_services(database_url, nats_server.url, processors=0) as services,
        subscribed(nats_server.reader_url) as one,
    ):
        await create(services)
        async with following(one, after=4711) as events:
            with pytest.raises(LogSetBackError, match="ends at 1, before 4711") as told:
                await take(events, 1)
        async with following(one, after=told.value.resume_after) as events:
            task_id = await create(services)
            assert [event.task_id for event in await take(events, 1)] == [task_id]


async def test_nobody_is_there(nats_server: NatsServer) -> None:
    """The first look has an end; which of both is missing is told."""
    async with subscribed(nats_server.reader_url, start_within_seconds=0.5) as one, following(one) as events:
        with pytest.raises(StoreUnavailableError):
            await take(events, 1)
    await nats_server.stop()
    async with subscribed(nats_server.reader_url, start_within_seconds=0.5) as one, following(one) as events:
        with pytest.raises(BusUnavailableError):
            await take(events, 1)


async def test_who_is_not_let_in_is_told(database_url: str, nats_server: NatsServer) -> None:
    """At once, and also when the password has changed while NATS was away."""
    wrong_url = nats_server.reader_url.replace(":reader@", ":wrong@")
    async with subscribed(wrong_url) as one, following(one) as events:
        with pytest.raises(AccessRefusedError, match="password of TASKMILL_NATS_URL"):
            await take(events, 1)
    async with running_services(database_url, nats_server.url) as services, subscribed(nats_server.reader_url) as one:
        await create(services)
        async with following(one) as events:
            await take(events, 1)
            await nats_server.stop()
            changed = NatsServer(nats_server.data_dir, nats_server.port, NatsUsers(reader_password="another"))
            await changed.start()
            try:
                with pytest.raises(AccessRefusedError):
                    await take(events, 1)
            finally:
                await changed.stop()


async def test_one_follows_at_a_time(nats_server: NatsServer) -> None:
    """A second one is refused, as is one who has not entered."""
    subscriber = Subscriber(SubscriberSettings(nats_url=nats_server.reader_url))
    with pytest.raises(RuntimeError, match="async with"):
        await anext(subscriber.events())
    async with subscriber, following(subscriber) as events, expecting(events):
        await eventually(lambda: not subscriber._is_free.is_set())
        with pytest.raises(RuntimeError, match="one at a time"):
            await anext(subscriber.events())


@pytest.mark.parametrize(
    "options", [{"name": "a b"}, {"name": "a.*"}, {"kind": "a.b"}, {"kind": ">"}, {"types": ["nonsense"]}]
)
def test_nonsense_is_refused_at_once(options: dict[str, Any]) -> None:
    """Whatever would end in a subject of NATS."""
    with pytest.raises(ValueError, match=r".+"):
        Subscriber(SubscriberSettings(), **options)
