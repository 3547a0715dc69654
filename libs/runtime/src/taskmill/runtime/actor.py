"""The unit of everything that runs."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import TypeVar

T = TypeVar("T")


class Actor(ABC):
    """Owns its state, and is started, watched, restarted and drained by a supervisor.

    After a crash `run` is called again on the same object, so whatever `run` sets up it must be able to set up anew.
    """

    name: str
    """Unique in its service; appears in logs and in `Supervisor.states()`."""

    @abstractmethod
    async def run(self, started: Callable[[], None]) -> None:
        """Serve until drained.

        Args:
            started: Called as soon as the actor serves; calling it again changes nothing.

        Raises:
            StartError: The service cannot be as it is set up: it drains, and ends with that.
            Exception: The actor crashed; the supervisor runs it again after a pause.
        """

    def stop(self) -> None:
        """Begin the drain: take in nothing new, finish what is in hand, then let `run` return.

        Idempotent, and legal before `run`, which then returns soon after it was called.
        """
        self._stop_requested.set()

    @cached_property
    def _stop_requested(self) -> asyncio.Event:
        """Set by `stop`, for good."""
        return asyncio.Event()


async def is_set_within(event: asyncio.Event, seconds: float | None) -> bool:
    """Pause for some seconds (None: for good), or until an event is set if that comes first; return whether it was."""
    if event.is_set():
        return True
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


async def unless_set(event: asyncio.Event, action: Awaitable[T]) -> T | None:
    """Await what an action returns, or until an event is set if that comes first.

    An action that is given up is cancelled. Its end is awaited, but for a second only: some swallow a cancellation.

    Returns:
        What the action returned; None: it was given up.
    """
    acting = asyncio.ensure_future(action)
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({acting, waiting}, return_when=asyncio.FIRST_COMPLETED)
        return acting.result() if acting.done() else None
    finally:
        waiting.cancel()
        if not acting.done():
            acting.cancel()
            await asyncio.wait({acting}, timeout=1)
