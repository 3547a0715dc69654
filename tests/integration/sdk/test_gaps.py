"""What a subscriber does about events that are missing: on a real NATS, with a log and a stream that a test writes."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
import pytest_asyncio

from taskmill.cli.embedded.nats import NatsServer
from taskmill.sdk.subscribing import EventsGoneError, Subscriber, SubscriberSettings, TaskEventsGoneError
from tests.integration.sdk.test_subscriber import take
from tests.support.eventually import eventually
from tests.support.scripted_log import TASK_ID, ScriptedLog


@pytest_asyncio.fixture
async def subscriber(nats_server: NatsServer) -> AsyncIterator[Subscriber]:
    """A subscriber to everything."""
    async with Subscriber(SubscriberSettings(nats_url=nats_server.reader_url)) as subscriber:
        yield subscriber


async def test_an_event_that_was_not_heard_is_read_from_the_log(log: ScriptedLog, subscriber: Subscriber) -> None:
    """The next one says after which it comes; nobody else has to notice."""
    async with aclosing(subscriber.events(after=0)) as events:
        await take(events, 1)
        log.versions[2] = 2
        await log.happen(3, 3)
        assert [(event.position, event.version) for event in await take(events, 2)] == [(2, 2), (3, 3)]
    assert subscriber.log_reads == 2


async def test_what_comes_again_is_dropped(log: ScriptedLog, subscriber: Subscriber) -> None:
    """As when the stream was deleted, and the relay publishes what it had: each is handed out once."""
    async with aclosing(subscriber.events(after=0)) as events:
        await take(events, 1)
        await log.happen(2, 2)
        await take(events, 1)
        await log.publish(1, 1, previous=0)
        await log.publish(2, 2, previous=1)
        await log.happen(3, 3)
        assert [event.version for event in await take(events, 1)] == [3]
    assert (subscriber.repeats_dropped, subscriber.log_reads) == (2, 1)


async def test_events_that_are_kept_no_longer_are_a_gap(log: ScriptedLog, subscriber: Subscriber) -> None:
    """Who was away for too long is told, with where to go on, and does not go on in silence."""
    log.versions = {10: 5, 11: 6}
    with pytest.raises(EventsGoneError, match="behind 3 and up to 9 are gone") as told:
        await anext(subscriber.events(after=3))
    assert (told.value.after, told.value.removed, told.value.resume_after) == (3, 9, 9)
    async with aclosing(subscriber.events(after=told.value.resume_after)) as events:
        assert [event.version for event in await take(events, 2)] == [5, 6]
    async with aclosing(subscriber.events(after=0)) as events:
        # From the beginning means: from what is kept.
        assert [event.version for event in await take(events, 2)] == [5, 6]


async def test_a_gap_in_the_versions_of_a_task_is_replayed(nats_server: NatsServer, log: ScriptedLog) -> None:
    """A message that the stream lost is found by the task's next one, though the filtered have no chain to compare."""
    async with (
        Subscriber(SubscriberSettings(nats_url=nats_server.reader_url), kind="echo") as subscriber,
        aclosing(subscriber.events(after=0)) as events,
    ):
        await take(events, 1)
        log.versions[2] = 2
        await log.happen(3, 3)
        got = await take(events, 2)
        assert [(event.position, event.version) for event in got] == [(2, 2), (3, 3)]
        assert log.asked[-1].task_id == TASK_ID
        await log.happen(4, 4)
        assert [event.version for event in await take(events, 1)] == [4]


async def test_a_gap_in_the_versions_that_cannot_be_filled_is_told(log: ScriptedLog, subscriber: Subscriber) -> None:
    """After all that came before it; and it can be gone on from."""
    async with aclosing(subscriber.events(after=0)) as events:
        await take(events, 1)
        await log.happen(2, 2)
        await log.happen(9, 5)
        assert [event.version for event in await take(events, 1)] == [2]
        with pytest.raises(TaskEventsGoneError, match="events 3 to 4 are gone") as told:
            await take(events, 1)
    assert (told.value.task_id, told.value.first, told.value.last) == (TASK_ID, 3, 4)
    async with aclosing(subscriber.events(after=told.value.resume_after)) as events:
        assert [event.version for event in await take(events, 1)] == [5]


async def test_the_position_is_that_of_what_was_dealt_with(log: ScriptedLog, subscriber: Subscriber) -> None:
    """It moves when the next event is asked for: a crash in between brings the event again."""
    log.versions = {1: 1, 2: 2}
    async with aclosing(subscriber.events(after=0)) as events:
        await take(events, 1)
        assert subscriber.position == 0
        await take(events, 1)
        assert subscriber.position == 1
    await eventually(lambda: subscriber.position == 1)
