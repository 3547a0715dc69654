import asyncio
import time

import pytest
from structlog.testing import capture_logs

from taskmill.cli.embedded.nats import NatsServer
from taskmill.contracts.errors import BusUnavailableError, PayloadTooLargeError
from taskmill.contracts.streams import Retention, StreamSpec
from taskmill.runtime.jetstream_api import jetstream_request
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.outbound import OutboundMessage
from taskmill.runtime.provisioning import ensure_stream
from taskmill.runtime.publisher import Publisher
from tests.support.eventually import eventually

STREAM = StreamSpec(name="S", subjects=("s.>",), retention=Retention.LIMITS, allow_batched=True, allow_direct=True)
FULL = StreamSpec(
    name="S", subjects=("s.>",), retention=Retention.LIMITS, allow_batched=True, max_bytes=50_000, discard_new=True
)
UNBATCHED = StreamSpec(name="S", subjects=("s.>",), retention=Retention.LIMITS)


def messages(start: int, end: int, payload: bytes = b"") -> list[OutboundMessage]:
    """Numbered messages with message ids."""
    return [
        OutboundMessage(f"s.{number}", payload or str(number).encode(), {"Nats-Msg-Id": f"id-{number}"})
        for number in range(start, end)
    ]


def publisher(session: NatsSession, timeout_seconds: float = 5) -> Publisher:
    """A publisher with a deadline that no test should need."""
    return Publisher(session, timeout_seconds=timeout_seconds)


async def stored(session: NatsSession) -> list[str]:
    """The subjects in the stream, in order."""
    state = (await jetstream_request(session, "STREAM.INFO.S"))["state"]
    replies = [
        await jetstream_request(session, "STREAM.MSG.GET.S", {"seq": sequence})
        for sequence in range(state["first_seq"], state["last_seq"] + 1)
    ]
    return [reply["message"]["subject"] for reply in replies]


async def message_count(session: NatsSession) -> int:
    """How many messages the stream holds."""
    count = (await jetstream_request(session, "STREAM.INFO.S"))["state"]["messages"]
    assert isinstance(count, int)
    return count


async def test_one_message(session: NatsSession) -> None:
    """The ack tells where it is, and whether it had been there."""
    await ensure_stream(session, STREAM)
    ack = await publisher(session).publish(messages(0, 1)[0])
    assert (ack.stream, ack.sequence, ack.is_duplicate) == ("S", 1, False)
    ack = await publisher(session).publish_all(messages(0, 1))
    assert (ack.stream, ack.sequence, ack.is_duplicate) == ("S", 1, True)


@pytest.mark.parametrize("count", [2, 3, 500, 501])
async def test_a_batch_is_stored_in_order(session: NatsSession, count: int) -> None:
    """A batch of any size arrives whole and in order."""
    await ensure_stream(session, STREAM)
    ack = await publisher(session).publish_all(messages(0, count))
    assert (ack.stream, ack.sequence, ack.is_duplicate) == ("S", count, False)
    assert await stored(session) == [f"s.{number}" for number in range(count)]


async def test_a_batch_of_many_thousands(session: NatsSession) -> None:
    """The flow control of the server is followed to the end."""
    await ensure_stream(session, STREAM)
    ack = await publisher(session).publish_all(messages(0, 7_001))
    assert ack.sequence == 7_001
    assert await message_count(session) == 7_001


async def test_several_batches_at_once(session: NatsSession) -> None:
    """Publishers that compete are slowed down by the server, and all succeed."""
    await ensure_stream(session, STREAM)
    parts = [messages(start, start + 700) for start in range(0, 3_500, 700)]
    await asyncio.gather(*[publisher(session).publish_all(part) for part in parts])
    assert await message_count(session) == 3_500


async def test_large_messages_in_a_batch(session: NatsSession) -> None:
    """A batch may be far larger than what the socket takes at once."""
    await ensure_stream(session, STREAM)
    ack = await publisher(session).publish_all(messages(0, 60, payload=bytes(500_000)))
    assert ack.sequence == 60


async def test_duplicates_in_a_batch_are_skipped(session: NatsSession) -> None:
    """A batch that was stored in part before is completed, wherever the duplicates stand."""
    await ensure_stream(session, STREAM)
    await publisher(session).publish_all(messages(0, 2) + messages(5, 8) + messages(1_199, 1_200))
    ack = await publisher(session).publish_all(messages(0, 1_200))
    assert ack.is_duplicate is False
    assert await message_count(session) == 1_200


@pytest.mark.parametrize("count", [2, 1_300])
async def test_a_batch_of_nothing_but_duplicates(session: NatsSession, count: int) -> None:
    """A repeated batch succeeds and stores nothing."""
    await ensure_stream(session, STREAM)
    await publisher(session).publish_all(messages(0, count))
    ack = await publisher(session).publish_all(messages(0, count))
    assert (ack.is_duplicate, ack.sequence) == (True, 0)
    assert await message_count(session) == count


async def test_a_stream_that_is_full_refuses_a_batch(session: NatsSession) -> None:
    """The batch fails, nothing is stored after the first refused message, and with room a repetition succeeds."""
    await ensure_stream(session, FULL)
    batch = messages(0, 300, payload=bytes(500))
    with capture_logs() as logs, pytest.raises(BusUnavailableError):
        await publisher(session).publish_all(batch)
    assert "fast_ingest.failed" in {entry["event"] for entry in logs}
    subjects = await stored(session)
    assert 0 < len(subjects) < 300
    assert subjects == [f"s.{number}" for number in range(len(subjects))]
    with pytest.raises(BusUnavailableError):
        await publisher(session).publish(batch[-1])
    await jetstream_request(session, "STREAM.UPDATE.S", await roomy_config(session))
    await publisher(session).publish_all(batch)
    assert await stored(session) == [f"s.{number}" for number in range(300)]


async def roomy_config(session: NatsSession) -> dict[str, object]:
    """The stream's configuration without a limit."""
    config = (await jetstream_request(session, "STREAM.INFO.S"))["config"]
    return {**config, "max_bytes": -1}


async def test_a_stream_that_takes_no_batches(session: NatsSession) -> None:
    """The first answer tells, and nothing else is sent."""
    await ensure_stream(session, UNBATCHED)
    with pytest.raises(BusUnavailableError):
        await publisher(session).publish_all(messages(0, 100))
    assert await message_count(session) == 0


async def test_no_stream(session: NatsSession) -> None:
    """Without a stream the server says so at once, for one message and for a batch."""
    began = time.monotonic()
    with pytest.raises(BusUnavailableError):
        await publisher(session).publish(messages(0, 1)[0])
    with pytest.raises(BusUnavailableError):
        await publisher(session).publish_all(messages(0, 2))
    assert time.monotonic() - began < 2


async def test_a_message_that_is_too_large(session: NatsSession) -> None:
    """It is named as such, alone and in a batch, and the connection stays."""
    await ensure_stream(session, STREAM)
    large = OutboundMessage("s.large", bytes(1024 * 1024 + 1), {})
    with pytest.raises(PayloadTooLargeError):
        await publisher(session).publish(large)
    with pytest.raises(PayloadTooLargeError):
        await publisher(session).publish_all([*messages(0, 2), large])
    assert session.is_connected


@pytest.mark.parametrize(
    "final",
    [
        b'{"stream":"S","seq":7,"batch":"x","count":2}',
        b'{"stream":"S","seq":7,"batch":"x"}',
        b'{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"S","seq":0}',
        b'{"type":"gap","last_seq":2,"seq":3}',
        b'{"type":"err","seq":2,"error":{"code":400,"err_code":10071,"description":"wrong last sequence"}}',
        b"no json",
        b"[]",
        b"",
    ],
)
async def test_whatever_does_not_prove_that_all_is_stored_is_a_failure(session: NatsSession, final: bytes) -> None:
    """A count that is too small, an error, a gap and garbage end the batch."""

    def answer(_subject: bytes, reply: bytes, _body: bytes, _headers: bytes | None) -> None:
        is_first = reply.endswith(b".1.0.$FI")
        session.publish(reply.decode(), b'{"type":"ack","seq":0,"msgs":10}' if is_first else final)

    session.subscribe("s.>", answer)
    with pytest.raises(BusUnavailableError):
        await publisher(session).publish_all(messages(0, 3))


@pytest.mark.parametrize("count", [1, 3])
async def test_silence_ends_at_the_deadline(session: NatsSession, count: int) -> None:
    """A server that takes messages in and says nothing is not waited for for ever."""
    session.subscribe("s.>", lambda *_: None)
    with pytest.raises(BusUnavailableError):
        await publisher(session, timeout_seconds=0.05).publish_all(messages(0, count))


async def test_publishing_while_disconnected(nats_server: NatsServer, own_session: NatsSession) -> None:
    """It fails at once, and nothing of it turns up in the stream later."""
    await ensure_stream(own_session, STREAM)
    await nats_server.kill()
    await eventually(lambda: not own_session.is_connected)
    began = time.monotonic()
    with pytest.raises(BusUnavailableError):
        await publisher(own_session).publish(messages(0, 1)[0])
    with pytest.raises(BusUnavailableError):
        await publisher(own_session).publish_all(messages(1, 4))
    assert time.monotonic() - began < 0.5
    await nats_server.start()
    await eventually(lambda: own_session.is_connected)
    await publisher(own_session).publish_all(messages(10, 12))
    assert await stored(own_session) == ["s.10", "s.11"]


async def test_a_server_killed_during_a_batch(nats_server: NatsServer, own_session: NatsSession) -> None:
    """The batch fails with the connection; repeated, it is there once and in order."""
    await ensure_stream(own_session, STREAM)
    batch = messages(0, 20_000)
    publisher_of_batch = publisher(own_session, timeout_seconds=30)
    task = asyncio.create_task(publisher_of_batch.publish_all(batch))
    await eventually(
        lambda: any(batch._acked_sequence > 1_000 for batch in publisher_of_batch._batches), every_seconds=0.001
    )
    began = time.monotonic()
    await nats_server.kill()
    with pytest.raises(BusUnavailableError):
        await task
    assert time.monotonic() - began < 5
    await nats_server.start()
    await eventually(lambda: own_session.is_connected)
    await publisher(own_session).publish_all(batch)
    assert await message_count(own_session) == 20_000


async def test_a_failed_batch_leaves_no_subscription(session: NatsSession) -> None:
    """Inboxes of batches go with them, however they end."""
    before = len(session._subscriptions)
    await ensure_stream(session, FULL)
    with pytest.raises(BusUnavailableError):
        await publisher(session).publish_all(messages(0, 300, payload=bytes(500)))
    await publisher(session).publish_all(messages(0, 2))
    assert len(session._subscriptions) == before
