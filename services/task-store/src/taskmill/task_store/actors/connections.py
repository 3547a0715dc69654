"""Closes the connections to PostgreSQL when everything that uses them has drained."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from taskmill.runtime.actor import Actor

CLOSE_TIMEOUT_SECONDS = 2


class Connections(Actor):
    """The first actor, so that it is the last to drain. Connections are made by those who use them.

    Args:
        closers: Each closes something.
    """

    name = "connections"

    def __init__(self, closers: Sequence[Callable[[], Awaitable[None]]]) -> None:
        self._closers = closers

    async def run(self, started: Callable[[], None]) -> None:
        """Wait for the drain, then close; what PostgreSQL does not confirm in time is dropped."""
        started()
        await self._stop_requested.wait()
        await asyncio.gather(*(self._close(closer) for closer in self._closers))

    async def _close(self, closer: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await closer()
        except (TimeoutError, OSError):
            return
