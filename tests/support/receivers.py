"""Receivers of webhooks on loopback: good ones, and bad ones of every sort."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Request:
    """What a receiver got.

    Attributes:
        headers: Their names in small letters.
        body: As it came.
    """

    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A receiver.

    Attributes:
        status: What it answers, such as `200 OK`; None: it never answers.
        headers: What it answers beside.
        url: Where it is.
        requests: What it got, in order.
    """

    status: str | None = "200 OK"
    headers: dict[str, str] = field(default_factory=dict)
    url: str = ""
    requests: list[Request] = field(default_factory=list)

    @property
    def event_ids(self) -> list[str]:
        """The events that it was told, in order, with repetitions."""
        return [request.headers["webhook-id"] for request in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        pairs = (line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        headers = {name.lower(): value for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.requests.append(Request(headers, body))
        if self.status is None:
            await reader.read()
            return
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        writer.write(f"HTTP/1.1 {self.status}\r\n{lines}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()


@asynccontextmanager
async def receiving(*receivers: Receiver) -> AsyncIterator[None]:
    """Let receivers serve, and tell each its URL."""
    connections: set[asyncio.Task[None]] = set()

    def accept(receiver: Receiver) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await receiver.serve(reader, writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

        def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(serve(reader, writer))
            connections.add(task)
            task.add_done_callback(connections.discard)

        return on_connection

    servers = [await asyncio.start_server(accept(receiver), "127.0.0.1", 0) for receiver in receivers]
    for receiver, server in zip(receivers, servers, strict=True):
        receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield
    finally:
        for server in servers:
            server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        for server in servers:
            await server.wait_closed()
