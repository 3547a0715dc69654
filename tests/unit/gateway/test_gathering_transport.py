"""What is written in one turn of the event loop goes out in one write."""

import asyncio
import socket
from typing import cast

import pytest

from taskmill.gateway.adapters import gathering_transport
from taskmill.gateway.adapters.gathering_transport import MAX_GATHERED_BYTES, GatheringTransport


class Recorded:
    """A transport that notes what is done with it."""

    def __init__(self) -> None:
        self.calls: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        """Note a write."""
        self.calls.append(data)

    def close(self) -> None:
        """Note that it is closed."""
        self.calls.append("closed")

    def get_write_buffer_size(self) -> int:
        """Nothing waits here."""
        return 0

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return "closed" in self.calls


def gathering() -> tuple[GatheringTransport, Recorded]:
    """A transport, and what it writes to."""
    recorded = Recorded()
    return GatheringTransport(cast("asyncio.Transport", recorded)), recorded


async def test_the_parts_of_a_response_are_one_write() -> None:
    """They are written as soon as the event loop has its turn; the next response is another write."""
    transport, recorded = gathering()
    transport.write(b"head")
    transport.write(b"body")
    assert recorded.calls == []
    await asyncio.sleep(0)
    assert recorded.calls == [b"headbody"]
    transport.write(b"next")
    await asyncio.sleep(0)
    assert recorded.calls == [b"headbody", b"next"]


async def test_nothing_is_left_unwritten_when_it_is_closed() -> None:
    """The parts go out before the end."""
    transport, recorded = gathering()
    transport.write(b"last words")
    transport.close()
    await asyncio.sleep(0)
    assert recorded.calls == [b"last words", "closed"]
    assert transport.is_closing()


async def test_much_is_written_at_once() -> None:
    """A transport that is full must say so before more is made."""
    transport, recorded = gathering()
    transport.write(b"x" * (MAX_GATHERED_BYTES + 1))
    assert [len(call) for call in recorded.calls] == [MAX_GATHERED_BYTES + 1]


async def test_a_connection_whose_client_takes_nothing_is_closed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not take is not kept for it."""
    monkeypatch.setattr(gathering_transport, "CLOSE_WITHIN_SECONDS", 0.05)
    is_lost = asyncio.Event()

    class Served(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            gathering = GatheringTransport(cast("asyncio.Transport", transport))
            gathering.write(bytes(64 * 1024 * 1024))
            gathering.close()

        def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
            is_lost.set()

    server = await asyncio.get_running_loop().create_server(Served, "127.0.0.1", 0)
    client = socket.create_connection(server.sockets[0].getsockname())
    try:
        async with asyncio.timeout(10):
            await is_lost.wait()
    finally:
        client.close()
        server.close()
