import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from taskmill.cli.embedded.nats import NatsServer
from taskmill.contracts.streams import ConsumerSpec, Retention, StreamSpec
from taskmill.runtime.jetstream_api import jetstream_request
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.outbound import OutboundMessage
from taskmill.runtime.provisioning import ensure_consumer, ensure_stream
from taskmill.runtime.publisher import Publisher
from taskmill.runtime.pull import DeliveredMessage, PullConsumer
from tests.support.actors import running
from tests.support.continuous_pull import ContinuousPull
from tests.support.eventually import eventually

STREAM = StreamSpec(name="S", subjects=("s.>",), retention=Retention.WORK_QUEUE, allow_batched=True)
CONSUMER = ConsumerSpec(stream="S", name="c", filter_subject="s.>", ack_wait_seconds=30, max_ack_pending=10_000)


class Puller:
    """A pull consumer with what it was given."""

    def __init__(self, session: NatsSession) -> None:
        self.deliveries: list[DeliveredMessage] = []
        self.changes = 0
        self.consumer = PullConsumer(
            session, stream="S", consumer="c", deliver=self.deliveries.append, on_change=self._count
        )

    def _count(self) -> None:
        self.changes += 1

    def bodies(self) -> list[bytes]:
        """What was delivered."""
        return [delivery.body for delivery in self.deliveries]


async def provision(session: NatsSession) -> None:
    """Create the stream and its consumer."""
    await ensure_stream(session, STREAM)
    await ensure_consumer(session, CONSUMER)


async def fill(session: NatsSession, count: int, start: int = 0) -> None:
    """Put numbered messages into the stream."""
    messages = [OutboundMessage("s.x", str(number).encode(), {}) for number in range(start, start + count)]
    await Publisher(session, timeout_seconds=5).publish_all(messages)


@pytest_asyncio.fixture
async def puller(session: NatsSession) -> AsyncIterator[Puller]:
    """A running puller on an empty stream."""
    await provision(session)
    puller = Puller(session)
    async with running(puller.consumer):
        yield puller


async def test_a_delivery_tells_what_jetstream_knows(session: NatsSession, puller: Puller) -> None:
    """Subject, body, headers, sequence, delivery count and what is still pending."""
    publisher = Publisher(session, timeout_seconds=5)
    await publisher.publish(OutboundMessage("s.a", b"one", {"Nats-Msg-Id": "1"}))
    await publisher.publish(OutboundMessage("s.b", b"two", {}))

    async def both_are_counted() -> bool:
        # The stream acknowledges a message before its consumers have counted it.
        return bool((await jetstream_request(session, "CONSUMER.INFO.S.c"))["num_pending"] == 2)

    await eventually(both_are_counted)
    puller.consumer.pull(2)
    await eventually(lambda: len(puller.deliveries) == 2)
    first, second = puller.deliveries
    assert (first.subject, first.body, first.delivery, first.stream_sequence, first.pending) == ("s.a", b"one", 1, 1, 1)
    assert first.headers is not None
    assert b"Nats-Msg-Id: 1" in first.headers
    assert (second.subject, second.stream_sequence, second.pending, second.headers) == ("s.b", 2, 0, None)
    assert puller.consumer.outstanding == 0


async def test_no_more_is_delivered_than_was_asked_for(session: NatsSession, puller: Puller) -> None:
    """Credit is counted down by deliveries, and a pull of nothing asks for nothing."""
    await fill(session, 10)
    puller.consumer.pull(0)
    puller.consumer.pull(-1)
    puller.consumer.pull(3)
    await eventually(lambda: len(puller.deliveries) == 3)
    puller.consumer.pull(4)
    await eventually(lambda: len(puller.deliveries) == 7)
    await session.flush()
    assert puller.bodies() == [str(number).encode() for number in range(7)]


async def test_a_nak_brings_a_message_again_and_an_ack_does_not(session: NatsSession, puller: Puller) -> None:
    """Acks and naks go out in one write; the delivery count rises."""
    await fill(session, 3)
    puller.consumer.pull(3)
    await eventually(lambda: len(puller.deliveries) == 3)
    session.write_acks([delivery.reply for delivery in puller.deliveries[:2]])
    session.write_acks([puller.deliveries[2].reply], b"-NAK")
    puller.consumer.pull(3)
    await eventually(lambda: len(puller.deliveries) == 4)
    assert (puller.deliveries[3].body, puller.deliveries[3].delivery) == (b"2", 2)


async def test_a_pull_that_expires_gives_its_credit_back(session: NatsSession, puller: Puller) -> None:
    """What was not delivered in time is told by on_change; what another pull asked for stays asked for."""
    await fill(session, 1)
    changes = puller.changes
    puller.consumer.pull(5, expires_seconds=0.3)
    puller.consumer.pull(7, expires_seconds=30)
    await eventually(lambda: puller.changes == changes + 1)
    assert len(puller.deliveries) == 1
    assert puller.consumer.outstanding in {6, 7}  # the one that was delivered belongs to either


async def test_a_consumer_that_comes_later(session: NatsSession) -> None:
    """Pulling from what does not exist gives the credit back, and is tried again."""
    puller = Puller(session)

    async with running(puller.consumer):
        puller.consumer.pull(5)
        await eventually(lambda: puller.consumer.outstanding == 0)
        await eventually(lambda: puller.changes >= 2)
        await provision(session)
        await fill(session, 1)
        puller.consumer.pull(5)
        await eventually(lambda: puller.bodies() == [b"0"])


async def test_a_deleted_consumer_gives_its_credit_back(session: NatsSession, puller: Puller) -> None:
    """A consumer that goes away while a pull waits is noticed, and told once it may be back."""
    changes = puller.changes
    puller.consumer.pull(5)
    await session.flush()
    await jetstream_request(session, "CONSUMER.DELETE.S.c")
    await eventually(lambda: puller.consumer.outstanding == 0)
    await eventually(lambda: puller.changes > changes)


async def test_a_refused_pull_is_tried_again_after_a_crash(session: NatsSession) -> None:
    """What waited to be tried again when the actor crashed does not keep the next pull from being tried again."""
    puller = Puller(session)
    first_run = asyncio.create_task(puller.consumer.run(lambda: None))
    await eventually(lambda: puller.changes == 1)
    puller.consumer.pull(5)
    await eventually(lambda: puller.consumer.outstanding == 0)
    first_run.cancel()
    await asyncio.wait({first_run}, timeout=5)
    async with running(puller.consumer):
        changes = puller.changes
        puller.consumer.pull(5)
        await eventually(lambda: puller.changes > changes)


async def test_pulls_are_made_again_after_a_killed_server(nats_server: NatsServer, own_session: NatsSession) -> None:
    """After a kill -9 of the server nothing would arrive any more without a new pull."""
    await provision(own_session)
    deliveries: list[DeliveredMessage] = []
    consumer = ContinuousPull(own_session, stream="S", consumer="c", deliver=deliveries.append, credit=10)
    async with running(consumer):
        await fill(own_session, 3)
        await eventually(lambda: len(deliveries) == 3)
        own_session.write_acks([delivery.reply for delivery in deliveries])
        await own_session.flush()
        await nats_server.kill()
        await eventually(lambda: not own_session.is_connected)
        await eventually(lambda: consumer.outstanding == 0)
        await nats_server.start()
        await eventually(lambda: own_session.is_connected)
        await fill(own_session, 2, start=3)
        await eventually(lambda: {delivery.body for delivery in deliveries} >= {b"3", b"4"})


async def test_missed_heartbeats_end_a_pull(session: NatsSession, puller: Puller) -> None:
    """A pull that the server has forgotten is noticed by its silence, and its inbox is not used again."""
    inbox = puller.consumer._inbox
    changes = puller.changes
    # As if the server had lost the pull: the credit counts, but nobody has asked.
    puller.consumer.outstanding = 5
    puller.consumer._heartbeat_seconds = 0.1
    puller.consumer._heard_at = asyncio.get_running_loop().time() - 60
    with capture_logs() as logs:
        await eventually(lambda: puller.changes > changes)
    assert puller.consumer.outstanding == 0
    assert puller.consumer._inbox != inbox
    assert [entry["event"] for entry in logs] == ["pull.heartbeats_missed"]
    await fill(session, 1)
    puller.consumer.pull(1)
    await eventually(lambda: puller.bodies() == [b"0"])


async def test_idle_heartbeats_keep_a_pull(puller: Puller) -> None:
    """A pull on an empty stream is silent but for heartbeats, and those are enough."""
    heard_at = puller.consumer._heard_at
    puller.consumer.pull(5, expires_seconds=1)
    await eventually(lambda: puller.consumer._heard_at > heard_at and puller.consumer.outstanding == 5)


async def test_continuous_pull_takes_everything(session: NatsSession) -> None:
    """More messages than its credit arrive, each once, while the credit is never exceeded."""
    await provision(session)
    await fill(session, 5_000)
    deliveries: list[DeliveredMessage] = []
    consumer = ContinuousPull(session, stream="S", consumer="c", deliver=deliveries.append, credit=100)
    async with running(consumer):
        await eventually(lambda: len(deliveries) == 5_000)
        assert 50 < consumer.outstanding <= 100
        session.write_acks([delivery.reply for delivery in deliveries])
        await eventually(lambda: is_empty(session))
    assert [int(delivery.body) for delivery in deliveries] == list(range(5_000))


async def is_empty(session: NatsSession) -> bool:
    """Whether every message was acknowledged, and so removed."""
    return bool((await jetstream_request(session, "STREAM.INFO.S"))["state"]["messages"] == 0)


async def test_a_drain_leaves_no_pull_behind(session: NatsSession) -> None:
    """After the drain the server hands nothing to the old inbox: a successor gets every message at once."""
    await provision(session)
    first = Puller(session)
    async with running(first.consumer):
        first.consumer.pull(100)
        await session.flush()
    second = Puller(session)
    async with running(second.consumer):
        second.consumer.pull(100)
        await fill(session, 50)
        await eventually(lambda: len(second.deliveries) == 50)
    assert first.deliveries == []
    first.consumer.pull(1)
    assert first.consumer.outstanding == 0


async def test_a_garbled_delivery_harms_nobody(session: NatsSession, puller: Puller) -> None:
    """What is published to the inbox by somebody else is dropped and logged."""
    with capture_logs() as logs:
        session.publish(puller.consumer._inbox, b"no ack subject", reply="nonsense")
        session.publish(puller.consumer._inbox, b"no reply")
        await session.flush()
    assert [entry["event"] for entry in logs] == ["nats.message_dropped"] * 2
    await fill(session, 1)
    puller.consumer.pull(1)
    await eventually(lambda: puller.bodies() == [b"0"])


@pytest.mark.parametrize("first", [4, 6])
async def test_both_forms_of_an_ack_subject(session: NatsSession, puller: Puller, first: int) -> None:
    """The newer form names domain and account as well (ADR-15)."""
    del session
    prefix = ["$JS", "ACK", "S", "c"] if first == 4 else ["$JS", "ACK", "_", "hash", "S", "c"]
    suffix = ["3", "17", "9", "1234567890", "42"] + ([] if first == 4 else ["random"])
    reply = ".".join(prefix + suffix).encode()
    puller.consumer._on_message(b"s.x", reply, b"body", None)
    delivery = puller.deliveries[0]
    assert (delivery.delivery, delivery.stream_sequence, delivery.pending) == (3, 17, 42)
