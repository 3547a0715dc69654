"""Keeps what is known of API keys fresh while they are used, and looks at the start whether there is any."""

import asyncio
from collections.abc import Callable

import structlog

from taskmill.contracts.errors import RemoteError, UnavailableError
from taskmill.gateway.adapters.key_ring import KeyRing
from taskmill.runtime.actor import Actor, is_set_within, unless_set
from taskmill.runtime.errors import StartError

_log = structlog.get_logger(__name__)

REFRESH_SECONDS = 0.4
"""Less than half of the time for which it is believed what the store said: requests do not wait for an answer."""

FIRST_LOOK_SECONDS = 5.0
"""How long the start waits for the store to say whether there is any key. After that nobody is let in before it did."""


class KeyWatch(Actor):
    """Asks for the keys again and again that are used.

    Args:
        ring: What is kept fresh.
        why_needed: Why nobody could be let in without any key: the service does not start then; None: somebody could.
    """

    name = "key-watch"

    def __init__(self, ring: KeyRing, *, why_needed: str | None) -> None:
        self._ring = ring
        self._why_needed = why_needed

    async def run(self, started: Callable[[], None]) -> None:
        """Look until stopped.

        Raises:
            StartError: Nobody could be let in.
        """
        clock = asyncio.get_running_loop().time
        begun_at = clock()
        while not self._stop_requested.is_set():
            if self._why_needed is not None:
                await unless_set(self._stop_requested, self._look_for_any(self._why_needed))
            if self._why_needed is None or clock() - begun_at >= FIRST_LOOK_SECONDS:
                started()
            self._ring.used.clear()
            await unless_set(self._stop_requested, self._refresh())
            if await is_set_within(self._stop_requested, REFRESH_SECONDS):
                return
            if self._why_needed is None and not self._ring.is_followed:
                await unless_set(self._stop_requested, self._ring.used.wait())

    async def _look_for_any(self, why_needed: str) -> None:
        try:
            if not await self._ring.are_there_any():
                raise StartError(why_needed)
        except (UnavailableError, RemoteError) as error:
            _log.debug("keys.not_read", code=error.code)
        else:
            self._why_needed = None

    async def _refresh(self) -> None:
        try:
            await self._ring.refresh()
        except (UnavailableError, RemoteError) as error:
            _log.debug("keys.not_read", code=error.code)
