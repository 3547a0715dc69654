"""What JetStream does with a consumer that is paused."""

import asyncio
from dataclasses import replace

from taskmill.cli.embedded.nats import NatsServer
from taskmill.runtime.consumer_pause import consumer_pauses, pause_consumer, resume_consumer
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.provisioning import ensure_consumer, ensure_stream
from tests.integration.runtime.test_pull import CONSUMER, STREAM, Puller, fill, provision
from tests.support.actors import running
from tests.support.eventually import eventually, holds


async def is_paused(session: NatsSession) -> bool:
    """Whether the consumer is."""
    [pause] = [pause async for pause in consumer_pauses(session, "S")]
    assert pause.name == "c"
    return pause.is_paused


async def test_nothing_is_delivered_while_a_consumer_is_paused(session: NatsSession) -> None:
    """Not to a pull that waited before, nor to one that comes, nor again; a resume serves all that wait at once."""
    await ensure_stream(session, STREAM)
    await ensure_consumer(session, replace(CONSUMER, ack_wait_seconds=1))
    puller = Puller(session)
    async with running(puller.consumer):
        puller.consumer.pull(1)
        await fill(session, 1)
        await eventually(lambda: puller.bodies() == [b"0"])
        puller.consumer.pull(1)
        await pause_consumer(session, "S", "c")
        assert await is_paused(session)
        await fill(session, 2, start=1)
        # It expires unserved, long after the first message would have been delivered again.
        puller.consumer.pull(5, expires_seconds=2)
        await eventually(lambda: puller.consumer.outstanding == 1)
        assert puller.bodies() == [b"0"]
        await resume_consumer(session, "S", "c")
        await eventually(lambda: len(puller.bodies()) == 2, within_seconds=1)
        assert not await is_paused(session)


async def test_a_pause_outlives_the_server(own_session: NatsSession, nats_server: NatsServer) -> None:
    """It is killed, and starts with the pause."""
    await provision(own_session)
    await pause_consumer(own_session, "S", "c")
    await nats_server.kill()
    await nats_server.start()

    async def check_paused() -> None:
        assert own_session.is_connected
        assert await is_paused(own_session)

    await holds(check_paused)


async def test_whoever_makes_a_consumer_leaves_its_pause_alone(session: NatsSession) -> None:
    """A new one is made paused, if that is wanted; one that exists stays as it is."""
    await ensure_stream(session, STREAM)
    await ensure_consumer(session, replace(CONSUMER, is_paused=True))
    assert await is_paused(session)
    await ensure_consumer(session, CONSUMER)
    assert await is_paused(session)
    await resume_consumer(session, "S", "c")

    async def check_resumed() -> None:
        assert not await is_paused(session)

    await holds(check_resumed)
    await ensure_consumer(session, replace(CONSUMER, is_paused=True))
    assert not await is_paused(session)


async def test_a_consumer_that_is_not_paused_may_be_resumed(session: NatsSession) -> None:
    """Nothing changes; nor if there is none of the name."""
    await provision(session)
    await resume_consumer(session, "S", "c")
    await resume_consumer(session, "S", "no-such")
    assert not await is_paused(session)


async def test_all_consumers_of_a_stream_are_gone_through(session: NatsSession) -> None:
    """Also when they come in several answers."""
    await ensure_stream(session, STREAM)
    specs = [replace(CONSUMER, name=f"c{number}", filter_subject=f"s.{number}") for number in range(260)]
    await asyncio.gather(*(ensure_consumer(session, spec) for spec in specs))
    names = {pause.name async for pause in consumer_pauses(session, "S")}
    assert names == {spec.name for spec in specs}
