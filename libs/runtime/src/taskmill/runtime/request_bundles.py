"""Requests that are made in the same moment travel together: one message there, one back.

A bundle goes to a subject of its own. Its body is the bodies of its requests, one after another, and the header
`Taskmill-Bundle` tells their sizes, as in `512,498`. The reply is made alike, of one part for each request in the same
order; a part is the header block of its reply, often empty, and the body, as in `0:640,87:212`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from taskmill.contracts.errors import InternalError
from taskmill.contracts.limits import MAX_BUNDLED_REQUEST_BYTES, MAX_REQUESTS_IN_A_BUNDLE
from taskmill.contracts.tracing import TRACEPARENT_HEADER, TRACEPARENTS_HEADER
from taskmill.runtime.deflation import DEFLATE, ENCODING_HEADER, inflate
from taskmill.runtime.nats_protocol import NO_HEADERS, encode_headers, header_value
from taskmill.runtime.request_mux import RawReply, RequestMux

BUNDLE_HEADER = "Taskmill-Bundle"

FULL_BUNDLE = 32
"""So many requests go without waiting for the rest of their turn: these are decided while others are being read."""


class Part(NamedTuple):
    """A reply within a bundle."""

    headers: bytes
    """The header block; empty: none."""
    body: bytes


def read_requests(body: bytes, headers: bytes | None) -> list[bytes] | None:
    """The requests of a bundle; None when it is not one, or holds more, or larger ones, than bundles may."""
    sizes = (header_value(headers, BUNDLE_HEADER) or "").split(",")
    if len(sizes) > MAX_REQUESTS_IN_A_BUNDLE:
        return None
    try:
        requests = _cut(body, [int(size) for size in sizes])
    except ValueError:
        return None
    return requests if max(map(len, requests)) <= MAX_BUNDLED_REQUEST_BYTES else None


def write_replies(parts: Sequence[Part]) -> tuple[bytes, Mapping[str, str]]:
    """Body and header of the reply to a bundle."""
    sizes = ",".join([f"{len(part.headers)}:{len(part.body)}" for part in parts])
    return b"".join([piece for part in parts for piece in part]), {BUNDLE_HEADER: sizes}


def read_traceparents(headers: bytes | None, count: int) -> list[str | None]:
    """The traceparents of a bundle's requests; None where there is none."""
    told = (header_value(headers, TRACEPARENTS_HEADER) or "").split(",")
    return [traceparent or None for traceparent in told] if len(told) == count else [None] * count


def trace_headers(traceparent: str | None) -> bytes:
    """The header block of a request alone."""
    return NO_HEADERS if traceparent is None else encode_headers({TRACEPARENT_HEADER: traceparent})


def _read_replies(answer: RawReply, count: int) -> list[RawReply]:
    sizes = header_value(answer.headers, BUNDLE_HEADER)
    if sizes is None:
        return [answer] * count  # an error that holds for all
    body = inflate(answer.body) if header_value(answer.headers, ENCODING_HEADER) == DEFLATE else answer.body
    try:
        pieces = _cut(body, [int(size) for pair in sizes.split(",") for size in pair.split(":")])
    except ValueError:
        raise InternalError from None
    if len(pieces) != 2 * count:
        raise InternalError
    return [RawReply(body, headers or None) for headers, body in zip(pieces[::2], pieces[1::2], strict=True)]


def _cut(body: bytes, sizes: Sequence[int]) -> list[bytes]:
    if min(sizes) < 0 or sum(sizes) != len(body):
        raise ValueError("the sizes are not those of the body")
    pieces, start = [], 0
    for size in sizes:
        pieces.append(body[start : start + size])
        start += size
    return pieces


class RequestBundler:
    """Sends the requests of one subject; those that are made in the same turn of the event loop go together.

    A request that is alone in its turn is sent as it is. `FULL_BUNDLE` go at once, before the turn ends.

    Args:
        requests: The session's.
        subject: Where a request goes that is alone.
        bundle_subject: Where bundles go.
        timeout_seconds: How long each may take.
    """

    def __init__(self, requests: RequestMux, subject: str, bundle_subject: str, *, timeout_seconds: float) -> None:
        self._requests = requests
        self._subject = subject
        self._bundle_subject = bundle_subject
        self._timeout_seconds = timeout_seconds
        self._bodies: list[bytes] = []
        self._traceparents: list[str | None] = []
        self._futures: list[asyncio.Future[RawReply]] = []

    async def request(self, body: bytes, traceparent: str | None = None) -> RawReply:
        """Send a request and wait for its answer; raises what `RequestMux.request` does."""
        if len(body) > MAX_BUNDLED_REQUEST_BYTES:
            return await self._ask_alone(body, traceparent)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[RawReply] = loop.create_future()
        self._bodies.append(body)
        self._traceparents.append(traceparent)
        self._futures.append(future)
        if len(self._bodies) == 1:
            loop.call_soon(self._send)
        elif len(self._bodies) == FULL_BUNDLE:
            self._send()
        return await future

    def _send(self) -> None:
        bodies, traceparents, futures = self._bodies, self._traceparents, self._futures
        if not bodies:
            return
        self._bodies, self._traceparents, self._futures = [], [], []
        try:
            answer = self._begin(bodies, traceparents)
        except Exception as error:
            _fail(futures, error)
            return
        answer.add_done_callback(partial(_hand_out, futures))

    def _begin(self, bodies: Sequence[bytes], traceparents: Sequence[str | None]) -> "asyncio.Future[RawReply]":
        if len(bodies) == 1:
            return self._requests.begin(
                self._subject, bodies[0], timeout_seconds=self._timeout_seconds, headers=trace_headers(traceparents[0])
            )
        headers = {BUNDLE_HEADER: ",".join([str(len(body)) for body in bodies])}
        if any(traceparents):
            headers[TRACEPARENTS_HEADER] = ",".join([traceparent or "" for traceparent in traceparents])
        return self._requests.begin(
            self._bundle_subject,
            b"".join(bodies),
            timeout_seconds=self._timeout_seconds,
            headers=encode_headers(headers),
            at_once=len(bodies) == FULL_BUNDLE,
        )

    async def _ask_alone(self, body: bytes, traceparent: str | None) -> RawReply:
        return await self._requests.request(
            self._subject, body, timeout_seconds=self._timeout_seconds, headers=trace_headers(traceparent)
        )


def _hand_out(futures: "Sequence[asyncio.Future[RawReply]]", answer: "asyncio.Future[RawReply]") -> None:
    """Give each request of a bundle its part of the answer to all."""
    try:
        replies = [answer.result()] if len(futures) == 1 else _read_replies(answer.result(), len(futures))
    except Exception as error:
        _fail(futures, error)
        return
    for future, reply in zip(futures, replies, strict=True):
        if not future.done():
            future.set_result(reply)


def _fail(futures: "Sequence[asyncio.Future[RawReply]]", error: BaseException) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)
