"""All requests of a session: one wildcard subscription for their answers, and a dictionary of who waits for which."""

import asyncio
import itertools
from collections.abc import Callable
from typing import NamedTuple, Protocol

from taskmill.contracts.errors import BusUnavailableError
from taskmill.runtime.errors import NoRespondersError
from taskmill.runtime.nats_protocol import NO_HEADERS, NO_RESPONDERS_STATUS, RawSink, status_of


class RawReply(NamedTuple):
    """What came back for a request."""

    body: bytes
    headers: bytes | None
    """The raw header block, for `nats_protocol.header_value`."""


class _Session(Protocol):
    """What is needed of a `NatsSession`."""

    def new_inbox(self) -> str: ...
    def subscribe(self, subject: str, sink: RawSink) -> object: ...
    def on_disconnect(self, callback: Callable[[], None]) -> None: ...
    def encode(self, subject: str, body: bytes, reply: str, headers: bytes) -> bytes: ...
    def send(self, commands: bytes, *, at_once: bool) -> None: ...


class RequestMux:
    """Sends requests and hands each answer to the one who waits. Part of a `NatsSession`; its `requests`."""

    def __init__(self, session: _Session) -> None:
        self._session = session
        self._prefix = f"{session.new_inbox()}."
        self._prefix_bytes = len(self._prefix)
        self._waiting: dict[bytes, asyncio.Future[RawReply]] = {}
        self._numbers = itertools.count()
        session.subscribe(f"{self._prefix}*", self._on_answer)
        session.on_disconnect(self._fail_all)

    async def request(
        self, subject: str, body: bytes, *, timeout_seconds: float, headers: bytes = NO_HEADERS
    ) -> RawReply:
        """Send a request and wait for its first answer.

        Args:
            subject: Where it goes.
            body: What it says.
            timeout_seconds: How long to wait.
            headers: A header block as `nats_protocol.encode_headers` returns it.

        Raises:
            BusUnavailableError: Not connected, at once; or the connection was lost while waiting.
            NoRespondersError: Nobody is subscribed to the subject.
            PayloadTooLargeError: The request is larger than the server takes.
            TimeoutError: No answer came in time.
        """
        return await self.begin(subject, body, timeout_seconds=timeout_seconds, headers=headers)

    def begin(
        self,
        subject: str,
        body: bytes,
        *,
        timeout_seconds: float,
        headers: bytes = NO_HEADERS,
        at_once: bool = False,
    ) -> "asyncio.Future[RawReply]":
        """Send a request and return what will have its first answer, or what else `request` raises.

        Args:
            subject: Where it goes.
            body: What it says.
            timeout_seconds: How long to wait.
            headers: A header block as `nats_protocol.encode_headers` returns it.
            at_once: Whether it goes out now, and not with all else that is written in this turn of the event loop.

        Raises:
            BusUnavailableError: Not connected.
            PayloadTooLargeError: The request is larger than the server takes.
        """
        session = self._session
        token = b"%d" % next(self._numbers)
        session.send(session.encode(subject, body, self._prefix + token.decode(), headers), at_once=at_once)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[RawReply] = loop.create_future()
        # One timer per request: `asyncio.timeout` costs three times as much.
        timer = loop.call_later(timeout_seconds, _give_up, future)
        self._waiting[token] = future

        def forget(_: "asyncio.Future[RawReply]") -> None:
            timer.cancel()
            del self._waiting[token]

        future.add_done_callback(forget)
        return future

    def _on_answer(self, subject: bytes, _reply: bytes, body: bytes, headers: bytes | None) -> None:
        future = self._waiting.get(subject[self._prefix_bytes :])
        if future is None or future.done():
            return
        if headers is not None and status_of(headers) == NO_RESPONDERS_STATUS:
            future.set_exception(NoRespondersError())
        else:
            future.set_result(RawReply(body, headers))

    def _fail_all(self) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(BusUnavailableError())


def _give_up(future: "asyncio.Future[RawReply]") -> None:
    if not future.done():
        future.set_exception(TimeoutError())
