"""A broker loses everything at once, whoever starts it again."""

import asyncio
import time

import nats
import pytest

from taskmill.cli.drill.broker import Broker
from taskmill.cli.drill.errors import BrokerAwayError, StreamsNotBackError
from taskmill.cli.embedded.nats import NatsServer
from taskmill.contracts.streams import EVENTS_STREAM, REPORTS_STREAM, WORK_STREAM


async def make_streams(url: str) -> None:
    """Make Taskmill's streams, with a message in the first."""
    client = await nats.connect(url)
    try:
        for name in (WORK_STREAM, REPORTS_STREAM, EVENTS_STREAM):
            await client.jetstream().add_stream(name=name, subjects=[name])
        await client.jetstream().publish(WORK_STREAM, b"work")
    finally:
        await client.close()


async def test_a_server_comes_back_with_nothing(nats_server: NatsServer) -> None:
    """It is killed with all that it has; only streams that were made anew count as back."""
    await make_streams(nats_server.url)
    broker = Broker(nats_server.url, nats_server.pid or 0, nats_server.data_dir)
    old = await asyncio.to_thread(broker.look)
    assert {name: content.messages for name, content in old.items()} == {
        EVENTS_STREAM: 0,
        REPORTS_STREAM: 0,
        WORK_STREAM: 1,
    }
    with pytest.raises(StreamsNotBackError):
        await asyncio.to_thread(broker.await_new_streams, old, deadline=time.monotonic() + 0.05)

    broker.lose_everything()
    await nats_server.wait()
    assert not list(nats_server.data_dir.glob("jetstream*"))
    with pytest.raises(BrokerAwayError):
        await asyncio.to_thread(broker.look)
    await nats_server.start()
    assert await asyncio.to_thread(broker.look) == {}

    await make_streams(nats_server.url)
    new = await asyncio.to_thread(broker.await_new_streams, old, deadline=time.monotonic() + 10)
    assert new.keys() == old.keys()
