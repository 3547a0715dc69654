"""A durable subscriber of TASK_EVENTS, as anybody could write it, which keeps everything that it receives."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from taskmill.contracts.streams import EVENTS_STREAM
from taskmill.contracts.subjects import EVENT_SUBJECTS, REPORT_SUBJECTS


class Arrival(NamedTuple):
    """An event as it was received: in which life of the stream, where in it, and what it says."""

    stream_created_at: str
    sequence: int
    document: str


_DURABLE = "chaos-witness"
_FETCH_EVENTS = 500
_FETCH_SECONDS = 1
_PAUSE_SECONDS = 0.3
_REDELIVERED_AFTER_SECONDS = 2


class Witness:
    """Receives events until it is stopped, whatever happens to the server, the stream or its own consumer.

    Args:
        url: Where NATS is.
        on_event: Takes each event that arrives, duplicates included.
        on_report: Takes the name of each execution that a `completed` report tells of. Reports are only overheard,
            so some may be missed.
    """

    def __init__(self, url: str, *, on_event: Callable[[Arrival], None], on_report: Callable[[str], None]) -> None:
        self._url = url
        self._on_event = on_event
        self._on_report = on_report
        self.received: set[str] = set()
        """The ids of all events that it has received."""

    async def run(self) -> None:
        """Receive until cancelled."""
        while True:
            client = await self._connect()
            try:
                await client.subscribe(REPORT_SUBJECTS, cb=self._overhear)
                await self._receive(client)
            except (nats.errors.Error, OSError, EOFError):
                await asyncio.sleep(_PAUSE_SECONDS)
            finally:
                await client.close()

    async def _connect(self) -> Client:
        while True:
            try:
                return await nats.connect(self._url, allow_reconnect=False, error_cb=_ignore, connect_timeout=2)
            except (nats.errors.Error, OSError):
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _receive(self, client: Client) -> None:
        jetstream = client.jetstream()
        subscription = await self._subscribe(jetstream)
        created_at = str((await jetstream.stream_info(EVENTS_STREAM)).created)
        while True:
            try:
                messages = await subscription.fetch(_FETCH_EVENTS, timeout=_FETCH_SECONDS)
            except TimeoutError:
                # Nothing came, or nothing can come any more: a recreated stream does not know this consumer.
                await jetstream.consumer_info(EVENTS_STREAM, _DURABLE)
                continue
            for message in messages:
                document = message.data.decode()
                self.received.add(json.loads(document)["id"])
                self._on_event(Arrival(created_at, message.metadata.sequence.stream, document))
                await message.ack()

    async def _subscribe(self, jetstream: JetStreamContext) -> JetStreamContext.PullSubscription:
        config = ConsumerConfig(
            durable_name=_DURABLE,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            filter_subject=EVENT_SUBJECTS,
            ack_wait=_REDELIVERED_AFTER_SECONDS,
        )
        await jetstream.add_consumer(EVENTS_STREAM, config)
        return await jetstream.pull_subscribe_bind(_DURABLE, EVENTS_STREAM)

    async def _overhear(self, message: Msg) -> None:
        for report in json.loads(message.data)["reports"]:
            result: Any = report.get("result")
            if isinstance(result, dict) and "execution" in result:
                self._on_report(result["execution"])


async def _ignore(_error: Exception) -> None:
    """What breaks the connection ends `_receive` as well."""
