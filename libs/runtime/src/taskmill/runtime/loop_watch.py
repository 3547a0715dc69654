"""Sees how late the event loop is."""

import asyncio
from collections.abc import Callable

from taskmill.runtime.actor import Actor, is_set_within
from taskmill.runtime.histogram import Histogram

INTERVAL_SECONDS = 1.0


class LoopWatch(Actor):
    """Wants to be called once a second, and notes by how much later it is: so long something held up everything else.

    Args:
        delay: Where that is noted.
    """

    name = "loop-watch"

    def __init__(self, delay: Histogram) -> None:
        self._delay = delay

    async def run(self, started: Callable[[], None]) -> None:
        """Watch until stopped."""
        started()
        clock = asyncio.get_running_loop().time
        called_at = clock()
        while not await is_set_within(self._stop_requested, INTERVAL_SECONDS):
            before, called_at = called_at, clock()
            self._delay.observe(max(0.0, called_at - before - INTERVAL_SECONDS))
