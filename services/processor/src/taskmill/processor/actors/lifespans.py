"""Enters the lifespans of the apps, and leaves them."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from taskmill.runtime.actor import Actor
from taskmill.sdk import TaskApp


class Lifespans(Actor):
    """Keeps the apps running from before the first task until after the last one.

    Args:
        apps: Whose lifespans they are.
    """

    name = "lifespans"

    def __init__(self, apps: Sequence[TaskApp]) -> None:
        self._apps = apps

    async def run(self, started: Callable[[], None]) -> None:
        """Be inside until stopped."""
        async with AsyncExitStack() as stack:
            for app in self._apps:
                await stack.enter_async_context(app.running())
            started()
            await self._stop_requested.wait()
