import asyncio
import time

import pytest
from structlog.testing import capture_logs

from taskmill.cli.embedded.nats import NatsServer
from taskmill.contracts.errors import BusUnavailableError, PayloadTooLargeError
from taskmill.contracts.streams import Retention, StreamSpec
from taskmill.runtime.fast_ingest import FLOW, MAX_UNANSWERED, FastIngest
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
    ingest = FastIngest(own_session, timeout_seconds=30)
    task = asyncio.create_task(ingest.publish(batch))
    await eventually(
        lambda: any(batch._acked_sequence > 1_000 for batch in ingest._batches.values()), every_seconds=0.001
    )
    began = time.monotonic()
    await nats_server.kill()
    with pytest.raises(BusUnavailableError):
        await task
    assert time.monotonic() - began < 5
    assert not ingest.granted
    await nats_server.start()
    await eventually(lambda: own_session.is_connected)
    await ingest.publish(batch)
    assert await message_count(own_session) == 20_000


async def test_batches_share_a_subscription(session: NatsSession) -> None:
    """However they end, there is one for all of a publisher, and nothing is kept of a batch."""
    await ensure_stream(session, FULL)
    before = len(session._subscriptions)
    ingest = FastIngest(session, timeout_seconds=5)
    with pytest.raises(BusUnavailableError):
        await ingest.publish(messages(0, 300, payload=bytes(500)))
    await ingest.publish(messages(0, 2))
    assert (len(session._subscriptions), ingest._batches) == (before + 1, {})


async def test_only_the_first_batch_asks_how_fast_it_may_go(session: NatsSession) -> None:
    """Later ones go out without an answer, until one fails."""
    asked: list[bytes] = []

    def answer(_subject: bytes, reply: bytes, _body: bytes, _headers: bytes | None) -> None:
        *_, sequence, operation, _suffix = reply.split(b".")
        if operation == b"2":
            session.publish(reply.decode(), b'{"stream":"S","seq":7,"batch":"x","count":%b}' % sequence)
        elif sequence == b"1" and not asked:
            asked.append(reply)
            session.publish(reply.decode(), b'{"type":"ack","seq":0,"msgs":%d}' % FLOW)

    session.subscribe("s.>", answer)
    ingest = FastIngest(session, timeout_seconds=5)
    for _ in range(2):
        await ingest.publish(messages(0, FLOW * MAX_UNANSWERED))
    with pytest.raises(PayloadTooLargeError):
        await ingest.publish([OutboundMessage("s.large", bytes(1024 * 1024 + 1), {})] * 2)
    asked.clear()
    await ingest.publish(messages(0, 2))
    assert len(asked) == 1


async def test_a_batch_whose_first_message_is_refused_stores_nothing(session: NatsSession) -> None:
    """Though the others are on their way by then; late answers to them are nothing to the next batch."""
    await ensure_stream(session, STREAM)
    ingest = FastIngest(session, timeout_seconds=5)
    await ingest.publish(messages(0, 2))
    behind = messages(10, 200)
    behind[0].headers["Nats-Expected-Last-Sequence"] = "7"
    for _ in range(2):
        with pytest.raises(BusUnavailableError):
            await ingest.publish(behind)
    assert not ingest.granted
    behind[0].headers["Nats-Expected-Last-Sequence"] = "2"
    await ingest.publish(behind)
    assert await stored(session) == [f"s.{number}" for number in (0, 1, *range(10, 200))]


async def test_a_stream_that_takes_no_batches_any_more(session: NatsSession) -> None:
    """Nothing of a batch is stored that was sent in the belief that it would be taken."""
    await ensure_stream(session, STREAM)
    ingest = FastIngest(session, timeout_seconds=5)
    await ingest.publish(messages(0, 2))
    config = (await jetstream_request(session, "STREAM.INFO.S"))["config"]
    await jetstream_request(session, "STREAM.UPDATE.S", {**config, "allow_batched": False})
    with pytest.raises(BusUnavailableError):
        await ingest.publish(messages(10, 20))
    assert await stored(session) == ["s.0", "s.1"]


async def test_a_publisher_that_was_slowed_down_goes_on(session: NatsSession) -> None:
    """What the server granted to one batch does not hold up the next, for which it answers less often."""
    await ensure_stream(session, STREAM)
    ingest = FastIngest(session, timeout_seconds=5)
    parts = [messages(start, start + 700) for start in range(0, 3_500, 700)]
    await asyncio.gather(*[ingest.publish(part) for part in parts])
    ingest.granted = 1
    await ingest.publish(messages(3_500, 4_500))
    assert await message_count(session) == 4_500
