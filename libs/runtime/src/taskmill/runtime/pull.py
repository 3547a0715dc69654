"""Pulling from a JetStream consumer, with credit: messages asked for and not yet delivered (ADR-37)."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from taskmill.contracts.errors import BusUnavailableError
from taskmill.runtime.actor import Actor, is_set_within
from taskmill.runtime.backoff import Backoff
from taskmill.runtime.jetstream_api import API_PREFIX, NANOSECONDS
from taskmill.runtime.nats_protocol import header_value, status_of
from taskmill.runtime.nats_session import NatsSession, Subscription

_log = structlog.get_logger(__name__)

IDLE_HEARTBEAT_STATUS = 100
MAX_IDLE_HEARTBEAT_SECONDS = 5
WATCH_INTERVAL_SECONDS = 1

# $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>; with more tokens, two that name
# domain and account stand before the stream.
_ACK_TOKENS = 9


@dataclass(slots=True)
class DeliveredMessage:
    """One delivery of a stream's message."""

    subject: str
    body: bytes
    reply: str
    """The ack subject, for `NatsSession.write_acks`."""
    delivery: int
    """How often JetStream has delivered this message, this time included; 1 is the first."""
    stream_sequence: int
    pending: int
    """How many messages the consumer had not delivered yet when it delivered this one."""
    headers: bytes | None
    """The raw header block, for `nats_protocol.header_value`."""


class PullConsumer(Actor):
    """Asks one durable consumer for messages when told to, and keeps account of what it asked for.

    Args:
        session: The connection.
        stream: The stream's name.
        consumer: The consumer's name. It may not exist yet: pulling is then tried again, with growing pauses.
        deliver: Called for each message in the read loop; it must only enqueue.
        on_change: Called when credit came back undelivered, and when pulling is possible (again): at the start, after a
            reconnect, after a pause.
    """

    def __init__(
        self,
        session: NatsSession,
        *,
        stream: str,
        consumer: str,
        deliver: Callable[[DeliveredMessage], None],
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self.name = f"pull-{consumer}"
        self.outstanding = 0
        """How many messages are asked for and neither delivered nor given up."""
        self.redelivered = 0
        """How many of those that were delivered had been delivered before."""
        self._session = session
        self._next_subject = f"{API_PREFIX}.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._deliver = deliver
        self._on_change = on_change
        self._heartbeat_seconds = 0.0
        self._heard_at = 0.0
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._backoff = Backoff(base_seconds=0.1, cap_seconds=1, jitter=0.3)
        self._retry: asyncio.TimerHandle | None = None
        session.on_disconnect(self._lose_credit)
        session.on_reconnect(self._tell_change)

    def pull(self, credit: int, *, expires_seconds: float = 30) -> None:
        """Ask for messages. Nothing happens while NATS is away or the actor does not run; `on_change` tells the end.

        Args:
            credit: How many, in addition to those outstanding; 0 or less: none.
            expires_seconds: After this time what was not delivered is given up, and `on_change` called.
        """
        if credit <= 0 or self._subscription is None or self._stop_requested.is_set():
            return
        # The server wants at least two heartbeats in a pull.
        heartbeat_seconds = min(MAX_IDLE_HEARTBEAT_SECONDS, expires_seconds / 2)
        request = (
            f'{{"batch":{credit},"expires":{int(expires_seconds * NANOSECONDS)},'
            f'"idle_heartbeat":{int(heartbeat_seconds * NANOSECONDS)}}}'
        )
        try:
            self._session.publish(self._next_subject, request.encode(), reply=self._inbox)
        except BusUnavailableError:
            return
        if self.outstanding == 0:
            self._heard_at = time.monotonic()
            self._heartbeat_seconds = heartbeat_seconds
        else:
            self._heartbeat_seconds = max(self._heartbeat_seconds, heartbeat_seconds)
        self.outstanding += credit

    async def run(self, started: Callable[[], None]) -> None:
        """Take in messages until stopped; what the server has sent by then is still delivered."""
        self._open_inbox()
        started()
        self._tell_change()
        try:
            while not await is_set_within(self._stop_requested, WATCH_INTERVAL_SECONDS):
                await self._check_heartbeats()
        finally:
            if self._retry is not None:
                self._retry.cancel()
                self._retry = None
            await self._close_inbox()

    def _open_inbox(self) -> None:
        self._inbox = self._session.new_inbox()
        self._subscription = self._session.subscribe(self._inbox, self._on_message)

    async def _close_inbox(self) -> None:
        self.outstanding = 0
        # First, so that nobody pulls into this inbox while it drains.
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await self._session.drain(subscription)

    def _on_message(self, subject: bytes, reply: bytes, body: bytes, headers: bytes | None) -> None:
        self._heard_at = time.monotonic()
        if headers is not None and (status := status_of(headers)) is not None:
            self._on_status(status, headers)
            return
        tokens = reply.split(b".")
        first = 4 if len(tokens) == _ACK_TOKENS else 6
        if self.outstanding > 0:
            self.outstanding -= 1
        self._backoff.reset()
        delivery = int(tokens[first])
        self.redelivered += delivery > 1
        self._deliver(
            DeliveredMessage(
                subject.decode(errors="replace"),
                body,
                reply.decode(),
                delivery,
                int(tokens[first + 1]),
                int(tokens[first + 4]),
                headers,
            )
        )

    def _on_status(self, status: int, headers: bytes) -> None:
        if status == IDLE_HEARTBEAT_STATUS:
            return
        undelivered = header_value(headers, "Nats-Pending-Messages")
        if undelivered is not None and undelivered.isdigit():
            self.outstanding = max(0, self.outstanding - int(undelivered))
            self._backoff.reset()
            self._tell_change()
            return
        # No such consumer, or it has just been deleted or moved: nothing that was asked for will come.
        self._lose_credit()
        if self._retry is None:
            pause_seconds = self._backoff.next()
            _log.debug("pull.refused", consumer=self.name, status=status, retry_in_seconds=pause_seconds)
            self._retry = asyncio.get_running_loop().call_later(pause_seconds, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._tell_change()

    async def _check_heartbeats(self) -> None:
        silent_seconds = time.monotonic() - self._heard_at
        if not self.outstanding or silent_seconds <= 2 * self._heartbeat_seconds + WATCH_INTERVAL_SECONDS:
            return
        _log.warning("pull.heartbeats_missed", consumer=self.name, silent_seconds=round(silent_seconds, 1))
        # With a new inbox, so that a late word about the old pulls is not taken for one about the new.
        await self._close_inbox()
        self._open_inbox()
        self._tell_change()

    def _lose_credit(self) -> None:
        self.outstanding = 0

    def _tell_change(self) -> None:
        if self._on_change is not None and self._subscription is not None and not self._stop_requested.is_set():
            self._on_change()
