"""One HTTP/1.1 connection to the gateway on a bare socket: a comfortable client would cost more than the services."""

import asyncio
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from taskmill.cli.embedded.ports import LOOPBACK

ANSWER_WITHIN_SECONDS = 10


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What the gateway answered. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: Any


class HttpConnection:
    """Sends one request after the other; when it has to connect again, to the next gateway, as behind a load balancer.

    Args:
        ports: Where the gateways listen, the first one first.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = itertools.cycle(ports)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> HttpAnswer | None:
        """Send a request.

        Returns:
            The answer, or None when none came: the request may have been carried out, or not.
        """
        try:
            async with asyncio.timeout(ANSWER_WITHIN_SECONDS):
                return await self._exchange(_encode(method, path, body, key))
        except (OSError, EOFError, TimeoutError):
            self.close()
            return None

    def close(self) -> None:
        """Break the connection, if there is one."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _exchange(self, request: bytes) -> HttpAnswer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(LOOPBACK, next(self._ports))
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            self.close()
        return HttpAnswer(int(head[0].split()[1]), headers, json.loads(body) if body else None)


def _encode(method: str, path: str, body: Any, key: str | None) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", f"Host: {LOOPBACK}", f"Content-Length: {len(content)}"]
    if content:
        lines.append("Content-Type: application/json")
    if key is not None:
        lines.append(f"Idempotency-Key: {key}")
    return "\r\n".join([*lines, "", ""]).encode() + content
