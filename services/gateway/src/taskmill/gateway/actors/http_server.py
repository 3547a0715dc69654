"""The actor that answers HTTP."""

import asyncio
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from taskmill.contracts.errors import TaskmillError
from taskmill.gateway.adapters.gathering_transport import GatheringTransport
from taskmill.gateway.api.body_reader import HAS_ARRIVED
from taskmill.gateway.api.problems import problem_response
from taskmill.gateway.errors import MAX_HEAD_BYTES, HeadTooLargeError, MalformedHttpError
from taskmill.runtime.actor import Actor

DRAIN_SECONDS = 6
"""How long requests in hand may take once the drain has begun; a little more than any request may take at all."""

KEEP_ALIVE_SECONDS = 60
"""How long a connection may be without a request in hand, whatever comes by it."""

NOTHING_TAKEN_SECONDS = 60
"""How long the other side may take nothing of what is to be written."""

LOOK_SECONDS = 10
"""How often connections are looked at."""

BACKLOG = 2_048


class HttpServer(Actor):
    """Serves an ASGI application.

    Args:
        app: The application.
        listener: A bound socket, on copies of which the actor listens while it runs; the drain closes it.
        on_stop: Called when the drain begins: ends the answers that would never end by themselves.
        look_seconds: How often connections are looked at that may have come to a halt.
    """

    name = "http-server"

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        *,
        on_stop: Callable[[], None],
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._listener = listener
        self._look_seconds = look_seconds
        self._on_stop = on_stop
        self._config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            backlog=BACKLOG,
            access_log=False,
            log_config=None,  # the logs of the service are set up already
            server_header=False,
            proxy_headers=False,  # nothing here asks who the client is
            headers=[("X-Content-Type-Options", "nosniff")],
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        self._server: _Server | None = None

    @property
    def connections(self) -> int:
        """How many are open."""
        return 0 if self._server is None else len(self._server.server_state.connections)

    async def run(self, started: Callable[[], None]) -> None:
        """Serve until drained: connections that are idle are closed, requests in hand are answered."""
        if self._stop_requested.is_set():
            return
        self._server = _Server(self._config, started)
        looking = asyncio.create_task(self._look_after_connections(self._server))
        try:
            await self._server.serve(sockets=[self._listener.dup()])
        finally:
            looking.cancel()
            self._server.close()

    def stop(self) -> None:
        """Accept no more connections, and finish."""
        super().stop()
        self._on_stop()
        # While any copy of it is open, the system accepts connections that nobody would answer.
        self._listener.close()
        if self._server is not None:
            self._server.should_exit = True

    async def _look_after_connections(self, server: "_Server") -> None:
        """Close those by which nothing gets on: each holds an open file, of which there are not many."""
        while True:
            await asyncio.sleep(self._look_seconds)
            for connection in list(server.server_state.connections):
                if isinstance(connection, _Protocol):
                    connection.look(self._look_seconds)


_UPGRADE_SIGN = b"pgrade:"
_UPGRADE = re.compile(rb"\r\n[Uu]pgrade:[^\r\n]*")


def _without_upgrade(data: bytes) -> bytes:
    """What begins with the head of a request, without the wish for another protocol, which may be passed over.

    The parser would take the request to end with its head. Java's HttpClient has that wish with each first request.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"", head) + end + rest


class _Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with fewer writes, and an answer of ours to what is no HTTP at all, or never ends.

    That never reaches the application.
    """

    _head_bytes: int | None = None
    """How much of a head, or of a trailer, came so far, beside its first piece; None: none is coming."""

    _piece_bytes = 0
    """How large the piece is that is being read."""

    _first_piece_bytes = 0
    """The same of the first one of a head, which may begin and end anywhere in it."""

    _refusal: TaskmillError | None = None
    """Why a request is refused that could be read."""

    _is_between = True
    """Whether what comes next is the beginning of a request."""

    _request: object = None
    """The newest request, when somebody looked."""

    _unsent_bytes = 0
    """What the other side had not taken then."""

    _halted_seconds = 0.0
    """For how long nothing has got on."""

    def data_received(self, data: bytes) -> None:
        self._piece_bytes = len(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
        elif self._is_between and _UPGRADE_SIGN in data:
            data = _without_upgrade(data)
        super().data_received(data)
        # What has not ended with that: the parser would gather headers for ever.
        if self._head_bytes is not None and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(HeadTooLargeError())

    def on_message_begin(self) -> None:
        self._is_between = False
        self._head_bytes = 0
        self._first_piece_bytes = self._piece_bytes
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        # Next to all heads come with less around them, and are not measured.
        if self._first_piece_bytes + (self._head_bytes or 0) > MAX_HEAD_BYTES:
            self._check_head()
        # They are no part of a value, and the parser leaves them there (RFC 9110 §5.5).
        self.headers[:] = [(name, value.rstrip(b" \t")) for name, value in self.headers]
        self._head_bytes = None
        super().on_headers_complete()
        # Trailers would become headers of the request: a list of their own has them, and nobody reads it.
        self.headers = []

    def _check_head(self) -> None:
        header_bytes = sum(len(name) + len(b": ") + len(value) + len(b"\r\n") for name, value in self.headers)
        if len(self.url) + header_bytes > MAX_HEAD_BYTES:
            self._refusal = HeadTooLargeError()
            # The parser stops, and `send_400_response` is called.
            raise self._refusal

    def on_chunk_header(self) -> None:
        """Count what comes until there is a body: it is a trailer."""
        self._head_bytes = 0

    def on_body(self, body: bytes) -> None:
        self._head_bytes = None
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_between = True
        self._head_bytes = None
        # Of a small request that is so before its task begins.
        self.scope[HAS_ARRIVED] = True  # type: ignore[literal-required]
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with what came meanwhile: as uvicorn does, but with no timer for each response, as `look` is enough."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def look(self, seconds: float) -> None:
        """Close the connection if nothing gets on: no request comes, or nothing is taken of an answer.

        Args:
            seconds: How long ago somebody looked.
        """
        unsent_bytes = self.transport.get_write_buffer_size()
        is_in_hand = self.cycle is not None and not self.cycle.response_complete
        is_halted = unsent_bytes == self._unsent_bytes if unsent_bytes else not is_in_hand
        if not is_halted or self.cycle is not self._request:
            self._halted_seconds = 0.0
        else:
            self._halted_seconds += seconds
        self._request, self._unsent_bytes = self.cycle, unsent_bytes
        if self._halted_seconds >= (NOTHING_TAKEN_SECONDS if unsent_bytes else KEEP_ALIVE_SECONDS):
            self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast("asyncio.Transport", GatheringTransport(transport)))

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words, which are no document
        self._refuse(self._refusal or MalformedHttpError())

    def _refuse(self, error: TaskmillError) -> None:
        answer = problem_response(error.problem(), {"Connection": "close"})
        phrase = HTTPStatus(answer.status_code).phrase
        first = f"HTTP/1.1 {answer.status_code} {phrase}".encode()
        lines = [first, *(b"%b: %b" % header for header in answer.raw_headers)]
        self.transport.write(b"\r\n".join([*lines, b"", bytes(answer.body)]))
        self.transport.close()


class _Server(uvicorn.Server):
    """uvicorn's server, under our supervisor: it tells when it serves, and leaves signals alone."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = started

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    def close(self) -> None:
        """Stop listening: what uvicorn does in its own shutdown, but not when it is cancelled or crashes."""
        for server in self.servers if self.started else []:
            server.close()
