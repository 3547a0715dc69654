"""Hearing a stream by an ordered consumer, on a real server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from taskmill.contracts.errors import BusUnavailableError
from taskmill.contracts.streams import StreamSpec, events_stream
from taskmill.runtime.errors import JetStreamError
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.ordered_consumer import SILENT_SECONDS, OrderedConsumer, StreamedMessage
from taskmill.runtime.provisioning import ensure_stream
from tests.support.eventually import eventually

STREAM = "TASK_EVENTS"
SPEC: StreamSpec = events_stream(max_bytes=1_000_000, max_age_seconds=3_600)


class Heard:
    """What was heard.

    Attributes:
        bodies: Of each message.
        breaks: How often something may have been missed.
    """

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.breaks = 0

    def take(self, message: StreamedMessage) -> None:
        """Remember a message."""
        self.bodies.append(message.body)

    def miss(self) -> None:
        """Remember a break."""
        self.breaks += 1


def consumer_of(session: NatsSession, heard: Heard, *subjects: str) -> OrderedConsumer:
    """One that is not open yet."""
    wanted = subjects or ("tasks.v1.event.>",)
    return OrderedConsumer(session, stream=STREAM, subjects=wanted, deliver=heard.take, on_broken=heard.miss)


@asynccontextmanager
async def opened(session: NatsSession, heard: Heard, *subjects: str) -> AsyncIterator[OrderedConsumer]:
    """One that hears."""
    await ensure_stream(session, SPEC)
    consumer = consumer_of(session, heard, *subjects)
    await consumer.open()
    try:
        yield consumer
    finally:
        consumer.close()


async def store(session: NatsSession, *subjects: str) -> None:
    """Store a message under each subject, with the subject as its body."""
    for subject in subjects:
        await session.client.jetstream().publish(f"tasks.v1.event.{subject}", subject.encode())


async def test_it_hears_from_when_it_was_opened(session: NatsSession) -> None:
    """In the order of the stream, nothing from before, and nothing after it was closed."""
    heard = Heard()
    await ensure_stream(session, SPEC)
    await store(session, "a.x.1")
    async with opened(session, heard):
        await store(session, "b.x.1", "c.y.2")
        await eventually(lambda: heard.bodies == [b"b.x.1", b"c.y.2"])
    await store(session, "d.x.1")
    await session.flush()
    assert (heard.bodies, heard.breaks) == ([b"b.x.1", b"c.y.2"], 0)


async def test_filters(session: NatsSession) -> None:
    """What is not wanted leaves no hole in the numbers."""
    heard = Heard()
    async with opened(session, heard, "tasks.v1.event.a.*.*", "tasks.v1.event.b.x.*") as consumer:
        await store(session, "a.y.1", "b.y.1", "c.x.1", "b.x.1")
        await eventually(lambda: heard.bodies == [b"a.y.1", b"b.x.1"])
        assert consumer.is_open


async def test_a_lost_message_is_noticed_by_the_next(session: NatsSession) -> None:
    """It is told once, and the next is not delivered: the consumer has to be opened anew."""
    heard = Heard()
    async with opened(session, heard) as consumer:
        await store(session, "a.x.1")
        await eventually(lambda: heard.bodies == [b"a.x.1"])
        for number in (3, 4):
            consumer._on_message(
                b"tasks.v1.event.b.x.1", b"$JS.ACK.%b.x.1.9.%d.0.0" % (STREAM.encode(), number), b"", None
            )
        assert (heard.bodies, heard.breaks, consumer.is_open) == ([b"a.x.1"], 1, False)
        await consumer.open()
        await store(session, "b.x.1")
        await eventually(lambda: heard.bodies == [b"a.x.1", b"b.x.1"])


async def test_a_lost_last_message_is_noticed_by_the_heartbeat(session: NatsSession) -> None:
    """The server says every second which number was the last."""
    heard = Heard()
    async with opened(session, heard) as consumer:
        await store(session, "a.x.1")
        await eventually(lambda: heard.bodies)
        consumer._number = 0
        await eventually(lambda: heard.breaks == 1)


async def test_a_stream_that_is_deleted_is_noticed_by_the_silence(session: NatsSession) -> None:
    """While it is there, nothing is too quiet."""
    heard = Heard()
    async with opened(session, heard) as consumer:
        await store(session, "a.x.1")
        await session.client.jetstream().delete_stream(STREAM)
        assert not consumer.is_silent
        await eventually(lambda: consumer.is_silent, within_seconds=SILENT_SECONDS + 5)
        consumer.break_off()
        consumer.break_off()
        assert heard.breaks == 1
        with pytest.raises(JetStreamError):
            await consumer.open()
        assert not consumer.is_open


async def test_without_a_server_it_cannot_be_opened(own_session: NatsSession) -> None:
    """It is said at once."""
    own_session.stop()
    await eventually(lambda: not own_session.is_connected)
    with pytest.raises(BusUnavailableError):
        await consumer_of(own_session, Heard()).open()
