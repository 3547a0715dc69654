"""Bytes from one TCP connection to another, both ways."""

import asyncio
from contextlib import suppress

_CHUNK_BYTES = 64 * 1024


async def join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    target_reader: asyncio.StreamReader,
    target_writer: asyncio.StreamWriter,
) -> None:
    """Forward between two connections until one of them ends; then the other has ended, too."""
    directions = [
        asyncio.create_task(_copy(reader, target_writer)),
        asyncio.create_task(_copy(target_reader, writer)),
    ]
    try:
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        # What was read is to arrive before the connection ends.
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    finally:
        for direction in directions:
            direction.cancel()
        await asyncio.gather(*directions, return_exceptions=True)
        writer.transport.abort()
        target_writer.transport.abort()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(_CHUNK_BYTES):
            sink.write(chunk)
            await sink.drain()


class Connections:
    """The tasks that serve the connections of a server, so that they end with it."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self) -> None:
        """Count the present task among them, until it is done."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """Cancel all of them, and wait until they have ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
