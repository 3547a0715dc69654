"""An HTTP server that answers as a test says, byte for byte."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

Answer = Callable[[str], bytes]
"""Returns the answer to a request, which is given as text; empty: none, until the client leaves."""

POLL_SECONDS = 0.01


@asynccontextmanager
async def http_server(answer: Answer, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Yield the URL of a server, with a thread for each connection.

    A server of asyncio's loses connections that were accepted just before it is closed, which then are never closed.
    """
    server = _Server(answer, host)
    serving = Thread(target=server.serve_forever, args=(POLL_SECONDS,))
    serving.start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        await asyncio.to_thread(server.shutdown)
        # Waits for the threads, which wait for clients, which may need this loop to leave.
        await asyncio.to_thread(server.server_close)
        serving.join()


def response(body: bytes = b"", *, status: str = "200 OK", **headers: str) -> bytes:
    """A response with a Content-Length."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


class _Server(ThreadingTCPServer):
    request_queue_size = 100

    def __init__(self, answer: Answer, host: str) -> None:
        self.answer = answer
        super().__init__((host, 0), _Connection)


class _Connection(StreamRequestHandler):
    timeout = 20
    server: _Server

    def handle(self) -> None:
        with suppress(OSError):
            answered = self.server.answer(self._read_request().decode())
            self.wfile.write(answered)
            if not answered:
                self.rfile.read()

    def _read_request(self) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                raise ConnectionAbortedError
            head += line
        lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
        return head + self.rfile.read(int(lengths[0]) if lengths else 0)
