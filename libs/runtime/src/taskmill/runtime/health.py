"""How a process without HTTP tells that it is well."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from taskmill.runtime.actor import Actor, is_set_within


class HealthFile(Actor):
    """Touches a file again and again while the process is well, so that a stale or missing file means trouble.

    The file is removed at the start and at the drain.

    Args:
        path: The file; its directory exists.
        is_healthy: Asked each time; must return quickly.
        interval_seconds: The pause between two touches.
    """

    def __init__(self, path: Path, is_healthy: Callable[[], bool], *, interval_seconds: float = 2) -> None:
        self.name = "health-file"
        self._path = path
        self._is_healthy = is_healthy
        self._interval_seconds = interval_seconds
        self._stop_requested = asyncio.Event()

    def stop(self) -> None:
        """Begin the drain: remove the file."""
        self._stop_requested.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Keep the file fresh until stopped."""
        self._path.unlink(missing_ok=True)
        started()
        try:
            while not self._stop_requested.is_set():
                if self._is_healthy():
                    self._path.touch()
                await is_set_within(self._stop_requested, self._interval_seconds)
        finally:
            self._path.unlink(missing_ok=True)
