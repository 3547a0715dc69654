"""Fast-ingest batches (ADR-50): many messages into one stream with few answers, paced by the server.

The reply subject of each message says where in the batch it stands:
`<inbox>.<batch id>.<flow>.<gap mode>.<sequence>.<operation>.$FI`. With gap mode `fail` a message is stored only if all
those before it are, so order and completeness survive a change of the stream's leader. That holds for the first message
too: without it the server knows no such batch, and refuses the others.
"""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import structlog

from taskmill.contracts.errors import BusUnavailableError
from taskmill.runtime.nats_protocol import encode_headers
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.outbound import OutboundMessage, PubAck, pub_ack, read_frame

_log = structlog.get_logger(__name__)

FLOW = 500
"""An answer is wanted after this many messages at most; nats-server grants no more."""

MAX_UNANSWERED = 2
"""Answers that may be outstanding: the server works on one part while the next is under way (ADR-50)."""

MAX_WRITE_BYTES = 1024 * 1024
"""After so much the socket must have taken it in before more is written."""

_START, _APPEND, _COMMIT = 0, 1, 2

_ID_LENGTH = 16
"""How many random digits an id begins with: by it the server tells apart the batches of all publishers."""


class FastIngest:
    """Publishes batches into one stream.

    The first message of the first batch goes alone: its answer tells whether the stream takes batches, and how fast.
    Later batches begin at the speed that was granted last, until one fails or the connection is lost.

    Args:
        session: The connection.
        timeout_seconds: How long each answer of the server may take.
    """

    def __init__(self, session: NatsSession, *, timeout_seconds: float) -> None:
        self.session = session
        self.timeout_seconds = timeout_seconds
        self.granted = 0
        """After how many messages the server answers, as it said last; 0: it is to be asked."""
        self._inbox = session.new_inbox()
        self._numbers = itertools.count()
        self._batches: dict[bytes, _Batch] = {}
        # One for all batches: the server does much for each. What a failed batch is still answered finds nobody here.
        self._id_start = len(self._inbox) + 1
        session.subscribe(f"{self._inbox}.>", self._on_frame)
        session.on_disconnect(self._fail_all)

    async def publish(self, messages: Sequence[OutboundMessage]) -> PubAck:
        """Publish messages, at least two, and wait until they are stored.

        Raises:
            BusUnavailableError: Some may not be stored.
            PayloadTooLargeError: A message is larger than NATS takes; of those before it some may be stored.
        """
        batch_id = f"{self._inbox[-_ID_LENGTH:]}-{next(self._numbers)}"
        batch = _Batch(self, f"{self._inbox}.{batch_id}", messages)
        self._batches[batch_id.encode()] = batch
        try:
            return await batch.publish()
        except BaseException:
            self.granted = 0
            raise
        finally:
            del self._batches[batch_id.encode()]

    def _on_frame(self, subject: bytes, _reply: bytes, body: bytes, _headers: bytes | None) -> None:
        batch = self._batches.get(subject[self._id_start : subject.find(b".", self._id_start)])
        if batch is not None:
            batch.hear(read_frame(body))

    def _fail_all(self) -> None:
        self.granted = 0
        for batch in self._batches.values():
            batch.fail()


class _Batch:
    """One batch, to be published once."""

    def __init__(self, ingest: FastIngest, inbox: str, messages: Sequence[OutboundMessage]) -> None:
        self._ingest = ingest
        self._session = ingest.session
        self._inbox = inbox
        self._messages = messages
        self._answered = asyncio.Event()
        self._acked_sequence = 0
        self._messages_per_ack = ingest.granted
        self._is_failed = False
        self._final: dict[str, Any] | None = None

    def fail(self) -> None:
        """Give the batch up."""
        self._is_failed = True
        self._answered.set()

    async def publish(self) -> PubAck:
        """See `FastIngest.publish`."""
        sent = 0
        if not self._messages_per_ack:
            self._write(0, 1)
            await self._next_answer()
            sent = 1
        while sent < len(self._messages):
            end = min(len(self._messages), self._acked_sequence + self._messages_per_ack * MAX_UNANSWERED)
            if end > sent:
                sent = await self._write_until(sent, end)
            else:
                await self._next_answer()
        while self._final is None:
            await self._next_answer()
        return self._conclude(self._final)

    async def _write_until(self, start: int, end: int) -> int:
        """Write messages from `start`, at most up to `end` and not much more than fits one write; return the next."""
        size_bytes = 0
        for index in range(start, end):
            size_bytes += len(self._messages[index].body)
            if size_bytes > MAX_WRITE_BYTES:
                self._write(start, index + 1)
                await self._session.flush(self._ingest.timeout_seconds)
                return index + 1
        self._write(start, end)
        return end

    def _write(self, start: int, end: int) -> None:
        prefix, last = f"{self._inbox}.{FLOW}.fail", len(self._messages)
        encode, commands = self._session.encode, []
        for sequence, message in enumerate(self._messages[start:end], start + 1):
            operation = _COMMIT if sequence == last else _APPEND if sequence > 1 else _START
            reply = f"{prefix}.{sequence}.{operation}.$FI"
            commands.append(encode(message.subject, message.body, reply, encode_headers(message.headers)))
        self._session.send(b"".join(commands))

    async def _next_answer(self) -> None:
        try:
            async with asyncio.timeout(self._ingest.timeout_seconds):
                await self._answered.wait()
        except TimeoutError:
            raise BusUnavailableError from None
        self._answered.clear()
        if self._is_failed:
            raise BusUnavailableError

    def hear(self, frame: dict[str, Any]) -> None:
        """Take in an answer of the server."""
        if self._is_failed:
            return
        if frame.get("type") == "ack":
            # An ack stands for all before it, so one that comes late changes nothing.
            self._acked_sequence = max(self._acked_sequence, int(frame["seq"]))
            self._messages_per_ack = self._ingest.granted = int(frame["msgs"])
        elif "seq" in frame and "type" not in frame and "error" not in frame:
            self._final = frame
        else:
            # An error, a gap, or no responders (an empty body). After an error the server still sends a final ack with
            # a count, which proves nothing.
            _log.warning("fast_ingest.failed", type=frame.get("type"), error=frame.get("error"))
            self._is_failed = True
        self._answered.set()

    def _conclude(self, final: dict[str, Any]) -> PubAck:
        if final.get("count") != len(self._messages):
            _log.warning("fast_ingest.incomplete", count=final.get("count"), messages=len(self._messages))
            raise BusUnavailableError
        return pub_ack(final)
