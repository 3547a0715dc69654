"""Fewer writes for the same bytes."""

import asyncio
from typing import Any

MAX_GATHERED_BYTES = 64 * 1024
"""More than this is written at once, so that a reader that is too slow is noticed."""

CLOSE_WITHIN_SECONDS = 2.0
"""How long the other side may take for what is left when the connection is closed."""


class GatheringTransport:
    """A transport that writes what it is given in one turn of the event loop in one go: a response's head and body.

    Each write is a system call that costs as much as reading the request.

    Args:
        transport: Does everything else.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._gathered_bytes = 0

    def write(self, data: bytes) -> None:
        """Write within this turn of the event loop."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        self._gathered_bytes += len(data)
        if self._gathered_bytes > MAX_GATHERED_BYTES:
            self._flush()

    def is_closing(self) -> bool:
        """As the transport says: asked for each response, and so not left to `__getattr__`, which is slow."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Write what is left, and close, even if the other side takes nothing."""
        self._flush()
        self._transport.close()
        if self._transport.get_write_buffer_size():
            # Until the other side has taken it, the connection would stay, with all that it holds.
            self._loop.call_later(CLOSE_WITHIN_SECONDS, self._transport.abort)

    def _flush(self) -> None:
        if self._parts:
            parts, self._parts = self._parts, []
            self._gathered_bytes = 0
            self._transport.write(b"".join(parts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
