"""Requests over TLS: connected to an address, and meant for a name."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from taskmill.processor.adapters.guarded_http import GuardedHttp
from taskmill.processor.adapters.name_lookups import NameLookups
from tests.support.paths import ROOT

CERTIFICATE = ROOT / "tests" / "support" / "good.example.pem"
"""Of `good.example`, signed by itself, with its key: nobody but these tests trusts it."""


@asynccontextmanager
async def tls_server(names_asked_for: list[str | None]) -> AsyncIterator[int]:
    """Yield the port of a server that answers each request with its header `Host`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    context.sni_callback = lambda _socket, name, _context: names_asked_for.append(name)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            [host] = [line[6:] for line in request.split("\r\n") if line.lower().startswith("host: ")]
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(host)}\r\n\r\n{host}".encode())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def guarded_http(*, is_trusted: bool) -> GuardedHttp:
    """All names stand for this machine."""
    context = ssl.create_default_context(cafile=CERTIFICATE) if is_trusted else None
    return GuardedHttp(None, NameLookups(lambda _: ["127.0.0.1"]), ssl_context=context)


async def test_the_certificate_is_compared_with_the_name() -> None:
    """Server and certificate are asked for by the name, though the address is connected to."""
    names: list[str | None] = []
    async with tls_server(names) as port, guarded_http(is_trusted=True).client() as client:
        answer = await client.get(f"https://good.example:{port}/")
    assert (answer.text, names) == (f"good.example:{port}", ["good.example"])


@pytest.mark.parametrize(
    ("name", "is_trusted", "cause"),
    [
        ("bad.example", True, "Hostname mismatch"),
        ("127.0.0.1", True, "IP address mismatch"),
        ("good.example", False, "self-signed certificate"),
    ],
)
async def test_another_certificate_is_refused(name: str, is_trusted: bool, cause: str) -> None:
    """One of another name, and one that nobody vouches for."""
    async with tls_server([]) as port, guarded_http(is_trusted=is_trusted).client() as client:
        with pytest.raises(httpx.ConnectError, match=cause):
            await client.get(f"https://{name}:{port}/")
