"""Fast-ingest batches (ADR-50): many messages into one stream with few answers, paced by the server.

The reply subject of each message says where in the batch it stands:
`<inbox>.<batch id>.<flow>.<gap mode>.<sequence>.<operation>.$FI`. With gap mode `fail` a message is stored only if all
those before it are, so order and completeness survive a change of the stream's leader.
"""

import asyncio
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


class FastIngestBatch:
    """One batch, to be published once.

    Args:
        session: The connection.
        messages: At least two, all for the same stream.
        timeout_seconds: How long each answer of the server may take.
    """

    def __init__(self, session: NatsSession, messages: Sequence[OutboundMessage], *, timeout_seconds: float) -> None:
        self._session = session
        self._messages = messages
        self._timeout_seconds = timeout_seconds
        self._inbox = session.new_inbox()
        self._answered = asyncio.Event()
        self._acked_sequence = 0
        self._messages_per_ack = 0
        self._is_failed = False
        self._final: dict[str, Any] | None = None

    def fail(self) -> None:
        """Give the batch up: the connection is gone."""
        self._is_failed = True
        self._answered.set()

    async def publish(self) -> PubAck:
        """Publish all messages and wait until they are stored.

        Raises:
            BusUnavailableError: Some may not be stored.
            PayloadTooLargeError: A message is larger than NATS takes; nothing after those before it was sent.
        """
        # An inbox of its own: unsubscribing it spares the server the rest of its answers to a failed batch.
        subscription = self._session.subscribe(f"{self._inbox}.>", self._on_frame)
        try:
            # Only the answer to the first message tells whether the stream takes batches, and how fast.
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
        finally:
            self._session.unsubscribe(subscription)
        return self._conclude(self._final)

    async def _write_until(self, start: int, end: int) -> int:
        """Write messages from `start`, at most up to `end` and not much more than fits one write; return the next."""
        size_bytes = 0
        for index in range(start, end):
            size_bytes += len(self._messages[index].body)
            if size_bytes > MAX_WRITE_BYTES:
                self._write(start, index + 1)
                await self._session.flush(self._timeout_seconds)
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
            async with asyncio.timeout(self._timeout_seconds):
                await self._answered.wait()
        except TimeoutError:
            raise BusUnavailableError from None
        self._answered.clear()
        if self._is_failed:
            raise BusUnavailableError

    def _on_frame(self, _subject: bytes, _reply: bytes, body: bytes, _headers: bytes | None) -> None:
        frame = read_frame(body)
        if frame.get("type") == "ack":
            # An ack stands for all before it, so one that comes late changes nothing.
            self._acked_sequence = max(self._acked_sequence, int(frame["seq"]))
            self._messages_per_ack = int(frame["msgs"])
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
