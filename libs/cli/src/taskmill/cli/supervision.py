"""Keep processes running: whoever ends is started again, ever less eagerly the more often it happens."""

import asyncio
import signal
from collections.abc import Callable
from typing import Protocol

from taskmill.cli.errors import StackError
from taskmill.cli.stack_file import Listed, StackFile
from taskmill.runtime.backoff import Backoff

# Who ran this long is well again: its next end counts as the first one.
_STEADY_AFTER_SECONDS = 30.0


class Supervised(Listed, Protocol):
    """A process that can be started any number of times."""

    async def start(self) -> None:
        """Start it."""

    async def stop(self) -> None:
        """End it in good order, within a time."""

    def abandon(self) -> None:
        """Have it end, and do not wait."""

    async def wait(self) -> int:
        """Wait until it ends; return its exit status, at once when it does not run."""

    def log_tail(self) -> str:
        """Return the last lines of its log."""


async def keep_running(process: Supervised, stack_file: StackFile, warn: Callable[[str], None]) -> None:
    """Start `process`, which runs already, again and again when it ends. Returns only by cancellation.

    Args:
        process: The process to watch. It is not stopped here: that takes its place in an order.
        stack_file: Written whenever the process ended or runs again.
        warn: Gets a line for people, and the end of the process' log, each time.
    """
    loop = asyncio.get_running_loop()
    backoff = Backoff(base_seconds=0.25, cap_seconds=15)
    while True:
        started_at = loop.time()
        status = await process.wait()
        stack_file.write()
        if loop.time() - started_at > _STEADY_AFTER_SECONDS:
            backoff.reset()
        pause_seconds = backoff.next()
        warn(f"{process.name} {describe_end(status)}; starting it again in {pause_seconds:.1f} s. Its log ended with:")
        warn(process.log_tail() or "(nothing)")
        await asyncio.sleep(pause_seconds)
        try:
            await process.start()
        except (StackError, OSError) as error:
            warn(f"{process.name}: {error}")
        stack_file.write()


def describe_end(status: int) -> str:
    """Say how a process ended, given its exit status as `asyncio` has it: negative for a signal."""
    return f"ended with status {status}" if status >= 0 else f"was ended by {signal.Signals(-status).name}"
