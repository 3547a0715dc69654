"""The actor that answers HTTP."""

import asyncio
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
from taskmill.gateway.api.problems import problem_response
from taskmill.gateway.errors import MAX_HEAD_BYTES, HeadTooLargeError, MalformedHttpError
from taskmill.runtime.actor import Actor

DRAIN_SECONDS = 6
"""How long requests in hand may take once the drain has begun; a little more than any request may take at all."""

KEEP_ALIVE_SECONDS = 60
BACKLOG = 2_048


class HttpServer(Actor):
    """Serves an ASGI application.

    Args:
        app: The application.
        listener: A bound socket, on copies of which the actor listens while it runs; the drain closes it.
        on_stop: Called when the drain begins: ends the answers that would never end by themselves.
    """

    name = "http-server"

    def __init__(self, app: ASGIApp, listener: socket.socket, *, on_stop: Callable[[], None]) -> None:
        self._listener = listener
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
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        self._server: _Server | None = None

    async def run(self, started: Callable[[], None]) -> None:
        """Serve until drained: connections that are idle are closed, requests in hand are answered."""
        if self._stop_requested.is_set():
            return
        self._server = _Server(self._config, started)
        try:
            await self._server.serve(sockets=[self._listener.dup()])
        finally:
            self._server.close()

    def stop(self) -> None:
        """Accept no more connections, and finish."""
        super().stop()
        self._on_stop()
        # While any copy of it is open, the system accepts connections that nobody would answer.
        self._listener.close()
        if self._server is not None:
            self._server.should_exit = True


class _Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with fewer writes, and an answer of ours to what is no HTTP at all, or never ends.

    That never reaches the application.
    """

    _head_bytes: int | None = None
    """How much of a head came so far, beside its first piece; None: no head is coming."""

    def data_received(self, data: bytes) -> None:
        # The parser would gather headers for ever.
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(HeadTooLargeError())
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        super().on_headers_complete()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast("asyncio.Transport", GatheringTransport(transport)))

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words, which are no document
        self._refuse(MalformedHttpError())

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
