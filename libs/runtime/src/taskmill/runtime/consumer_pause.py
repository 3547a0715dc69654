"""Pausing JetStream's consumers (nats-server 2.11): while one is paused, the server delivers nothing of it."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import NamedTuple

from taskmill.runtime.errors import JetStreamError
from taskmill.runtime.jetstream_api import jetstream_request
from taskmill.runtime.nats_session import NatsSession

PAUSED_UNTIL = "2200-01-01T00:00:00Z"
"""What stands for "until it is resumed": a pause has an end, and that is at most 292 years away."""

NO_SUCH_CONSUMER = 10014

RESUMED_AFTER = timedelta(seconds=0.05)


class ConsumerPause(NamedTuple):
    """Whether a consumer is paused."""

    name: str
    is_paused: bool


async def pause_consumer(session: NatsSession, stream: str, consumer: str) -> None:
    """Have nothing more delivered by a consumer: when this returns, everything that is has left the server.

    Pulls that wait go on to wait, and get their idle heartbeats. Acks and signs of life are taken. What is not
    acknowledged is delivered again only after the pause.

    Raises:
        BusUnavailableError: JetStream cannot be reached.
        JetStreamError: It refuses: no such consumer.
    """
    await _pause(session, stream, consumer, PAUSED_UNTIL)


async def resume_consumer(session: NatsSession, stream: str, consumer: str) -> None:
    """Let a consumer deliver again, within 50 ms. One that is not paused, or not there, is left alone.

    Raises:
        BusUnavailableError: JetStream cannot be reached.
        JetStreamError: It refuses.
    """
    try:
        info = await jetstream_request(session, f"CONSUMER.INFO.{stream}.{consumer}")
    except JetStreamError as error:
        if error.error_code != NO_SUCH_CONSUMER:
            raise
        return
    if info.get("paused", False):
        # Not at once: nats-server 2.15 then serves the pulls that wait only when something else wakes it, up to one of
        # their idle heartbeats later; the end of a pause wakes it. By the server's clock, not ours.
        server_time = datetime.fromisoformat(info["ts"])
        await _pause(session, stream, consumer, (server_time + RESUMED_AFTER).isoformat())


async def consumer_pauses(session: NatsSession, stream: str) -> AsyncIterator[ConsumerPause]:
    """Go through the consumers of a stream; 256 come in one answer.

    Raises:
        BusUnavailableError: JetStream cannot be reached.
        JetStreamError: It refuses: no such stream.
    """
    offset = 0
    while True:
        page = await jetstream_request(session, f"CONSUMER.LIST.{stream}", {"offset": offset})
        consumers = page["consumers"] or []
        for info in consumers:
            yield ConsumerPause(info["name"], info.get("paused", False))
        offset += len(consumers)
        if not consumers or offset >= page["total"]:
            return


async def _pause(session: NatsSession, stream: str, consumer: str, until: str) -> None:
    await jetstream_request(session, f"CONSUMER.PAUSE.{stream}.{consumer}", {"pause_until": until})
