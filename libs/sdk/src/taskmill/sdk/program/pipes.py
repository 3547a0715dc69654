"""What a program writes.

The pipes are our own, for asyncio counts a process that has pipes of its own as running until all of them are closed:
one that was left behind and holds them would keep it from ending.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import IO

_READ_ON_SECONDS = 0.5
"""How long a pipe is read once the program has been ended: what it wrote before is there already."""


class OutputPipe:
    """A pipe, while it is read.

    Attributes:
        writing_end: What the program gets.
        reading: Ends with the last one who can write, or when the reader wants nothing more.
    """

    def __init__(self, writing_end: IO[bytes], reading: asyncio.Task[None]) -> None:
        self.writing_end = writing_end
        self.reading = reading

    def hand_over(self) -> None:
        """Close our copy of the writing end: it is the program's now."""
        self.writing_end.close()


@asynccontextmanager
async def output_pipe(read: Callable[[asyncio.StreamReader], Awaitable[None]]) -> AsyncIterator[OutputPipe]:
    """Have a pipe read, until whoever leaves has ended all who could write; others who still hold it are left alone.

    Args:
        read: Reads until the end, or as much as it wants.
    """
    reading_descriptor, writing_descriptor = os.pipe()
    with os.fdopen(writing_descriptor, "wb", buffering=0) as writing_end:
        reader = asyncio.StreamReader()
        # The transport closes the reading end, also when this is cancelled.
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading_descriptor, "rb", buffering=0)
        )

        async def read_all() -> None:
            await read(reader)

        pipe = OutputPipe(writing_end, asyncio.create_task(read_all()))
        try:
            yield pipe
        finally:
            pipe.hand_over()
            try:
                await asyncio.wait({pipe.reading}, timeout=_READ_ON_SECONDS)
            finally:
                pipe.reading.cancel()
                transport.close()
