"""What a program writes.

The pipes are our own, for asyncio counts a process that has pipes of its own as running until all of them are closed:
one that was left behind and holds them would keep it from ending.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import IO, cast

_READ_ON_SECONDS = 0.5
"""How long a pipe is read once the program has been ended: what it wrote before is there already."""

_PIPE_BYTES = 64 * 1024
"""So much the system keeps of a pipe that nobody reads, and so much is kept here before it has to."""


class PipeReader(asyncio.Protocol):
    """Reads a pipe no faster than somebody takes what comes.

    Args:
        descriptor: The end that is read.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._unread = bytearray()
        self._has_changed = asyncio.Event()
        self._is_ended = self._is_paused = False
        self._transport: asyncio.ReadTransport

    async def read(self, limit: int) -> bytes:
        """What came next, at most `limit` bytes; nothing: that was all."""
        while not self._unread and not self._is_ended:
            self._has_changed.clear()
            await self._has_changed.wait()
        piece = bytes(self._unread[:limit])
        del self._unread[:limit]
        if self._is_paused and not self._is_ended and len(self._unread) < _PIPE_BYTES:
            self._is_paused = False
            self._transport.resume_reading()
        return piece

    def cut(self) -> None:
        """End it behind what was written by now."""
        if self._is_ended:
            return
        self._transport.pause_reading()
        with suppress(BlockingIOError):
            self._unread += os.read(self._descriptor, _PIPE_BYTES)
        self._end()
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop reads for it."""
        self._transport = cast("asyncio.ReadTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Keep it until somebody takes it."""
        self._unread += data
        self._has_changed.set()
        if len(self._unread) >= _PIPE_BYTES:
            self._is_paused = True
            self._transport.pause_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        """Nobody can write any more, or nobody reads."""
        self._end()

    def _end(self) -> None:
        self._is_ended = True
        self._has_changed.set()


class OutputPipe:
    """A pipe, while it is read.

    Attributes:
        writing_end: What the program gets.
        reading: Ends with the last one who can write, or when the reader wants nothing more.
    """

    def __init__(self, writing_end: IO[bytes], reader: PipeReader, reading: asyncio.Task[None]) -> None:
        self.writing_end = writing_end
        self.reading = reading
        self._reader = reader

    def hand_over(self) -> None:
        """Close our copy of the writing end: it is the program's now."""
        self.writing_end.close()

    def cut(self) -> None:
        """Read what was written by now, and nothing that comes later."""
        self._reader.cut()


@asynccontextmanager
async def output_pipe(read: Callable[[PipeReader], Awaitable[None]]) -> AsyncIterator[OutputPipe]:
    """Have a pipe read, until whoever leaves has ended all who could write; others who still hold it are left alone.

    Args:
        read: Reads until the end, or as much as it wants.
    """
    reading_descriptor, writing_descriptor = os.pipe()
    with os.fdopen(writing_descriptor, "wb", buffering=0) as writing_end:
        # The transport closes the reading end, also when this is cancelled.
        transport, reader = await asyncio.get_running_loop().connect_read_pipe(
            lambda: PipeReader(reading_descriptor), os.fdopen(reading_descriptor, "rb", buffering=0)
        )

        async def read_all() -> None:
            await read(reader)

        pipe = OutputPipe(writing_end, reader, asyncio.create_task(read_all()))
        try:
            yield pipe
        finally:
            pipe.hand_over()
            try:
                await asyncio.wait({pipe.reading}, timeout=_READ_ON_SECONDS)
            finally:
                pipe.reading.cancel()
                transport.close()
