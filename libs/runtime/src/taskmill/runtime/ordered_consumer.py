"""Hearing what is stored in a stream from now on, each message once and in order, by a consumer that needs no ack.

The consumer is one of JetStream's push consumers, without a name that anybody knows. It numbers what it delivers, so a
message that is lost on the way is noticed, also with a filter; and when there is nothing to deliver it says so, with
the last number, so that the loss of the last message, or of the consumer itself, is noticed, too.
"""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import structlog

from taskmill.runtime.jetstream_api import NANOSECONDS, jetstream_request
from taskmill.runtime.nats_protocol import header_value, status_of
from taskmill.runtime.nats_session import NatsSession, Subscription

_log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 1.0
"""How often the server says that there is nothing to deliver."""

SILENT_SECONDS = 3 * HEARTBEAT_SECONDS + 1
"""A consumer of which nothing was heard for so long is gone."""

FORGOTTEN_AFTER_SECONDS = 30
"""A consumer that nobody listens to any more is deleted by the server after so long."""

_IDLE_HEARTBEAT_STATUS = 100
_LAST_NUMBER_HEADER = "Nats-Last-Consumer"
# $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>; see `pull`.
_ACK_TOKENS = 9


class StreamedMessage(NamedTuple):
    """A message of the stream."""

    subject: str
    body: bytes
    headers: bytes | None
    """The raw header block, for `nats_protocol.header_value`."""


class OrderedConsumer:
    """Hears the messages of a stream that are stored from when it was opened, until it may have missed one.

    Args:
        session: The connection.
        stream: The stream's name.
        subjects: What it hears of the stream; may hold wildcards, may not overlap.
        deliver: Called for each message in the read loop; it must only enqueue.
        on_broken: Called once when something may have been missed; nothing is delivered afterwards until it is opened
            again.
    """

    def __init__(
        self,
        session: NatsSession,
        *,
        stream: str,
        subjects: Sequence[str],
        deliver: Callable[[StreamedMessage], None],
        on_broken: Callable[[], None],
    ) -> None:
        self._session = session
        self._stream = stream
        self._subjects = list(subjects)
        self._deliver = deliver
        self._on_broken = on_broken
        self._subscription: Subscription | None = None
        self._number = 0
        self._heard_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether everything that is stored is delivered."""
        return self._subscription is not None

    @property
    def is_silent(self) -> bool:
        """Whether so little was heard that the consumer must be gone: it should be broken off."""
        return self.is_open and asyncio.get_running_loop().time() > self._heard_at + SILENT_SECONDS

    async def open(self) -> None:
        """Hear from now on; what is stored after this has returned is delivered, or `on_broken` called.

        Raises:
            BusUnavailableError: Not connected, no JetStream there, or no answer in time.
            JetStreamError: It was refused: there is no such stream, for one.
        """
        self.close()
        inbox = self._session.new_inbox()
        self._number = 0
        self._heard_at = asyncio.get_running_loop().time()
        self._subscription = self._session.subscribe(inbox, self._on_message)
        name = f"ordered-{uuid.uuid4().hex}"
        request = {"stream_name": self._stream, "config": self._configuration(name, inbox)}
        try:
            await jetstream_request(self._session, f"CONSUMER.CREATE.{self._stream}.{name}", request)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Hear nothing any more; the server forgets the consumer by itself. Idempotent."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            self._session.unsubscribe(subscription)

    def break_off(self) -> None:
        """Take it that something was missed, as after a reconnect."""
        if self.is_open:
            self.close()
            self._on_broken()

    def _configuration(self, name: str, inbox: str) -> dict[str, Any]:
        return {
            "name": name,
            "deliver_subject": inbox,
            "deliver_policy": "new",
            "ack_policy": "none",
            "max_deliver": 1,
            "filter_subjects": self._subjects,
            "idle_heartbeat": int(HEARTBEAT_SECONDS * NANOSECONDS),
            "inactive_threshold": FORGOTTEN_AFTER_SECONDS * NANOSECONDS,
            "mem_storage": True,
            "num_replicas": 1,
        }

    def _on_message(self, subject: bytes, reply: bytes, body: bytes, headers: bytes | None) -> None:
        if self._subscription is None:
            return
        self._heard_at = asyncio.get_running_loop().time()
        status = status_of(headers)
        if status is not None:
            last = header_value(headers, _LAST_NUMBER_HEADER)
            if status != _IDLE_HEARTBEAT_STATUS or (last is not None and last != str(self._number)):
                self._miss(f"status {status}, last {last}")
            return
        tokens = reply.split(b".")
        number = int(tokens[6 if len(tokens) == _ACK_TOKENS else 8])
        if number != self._number + 1:
            self._miss(f"number {number}")
            return
        self._number = number
        self._deliver(StreamedMessage(subject.decode(), body, headers))

    def _miss(self, told: str) -> None:
        _log.warning("ordered_consumer.missed", stream=self._stream, told=told, number=self._number)
        self.break_off()
