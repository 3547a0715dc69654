"""Being the one of several: a lease that is renewed for as long as its owner lives."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from taskmill.runtime.actor import Actor, is_set_within
from taskmill.runtime.backoff import Backoff

_log = structlog.get_logger(__name__)

RENEWALS_PER_TTL = 3

LOOK_SECONDS = 0.25
"""How often those ask for the lease that do not hold it: so soon a leader that has died is followed."""


class LeaseStore(Protocol):
    """Where the lease is kept; its clock decides when a lease has run out."""

    async def acquire(self, owner: str, ttl_seconds: float) -> bool:
        """Take the lease, or renew it if `owner` holds it; return whether it is held.

        It is to be had when it is free or has run out, or when its owner is known to be dead.
        """

    async def release(self, owner: str) -> None:
        """Give the lease back, if `owner` holds it."""


class Leadership(Actor):
    """Holds a lease whenever it can.

    Args:
        name: The actor's name.
        store: Where the lease is kept.
        owner: Names this process among those that compete.
        ttl_seconds: How long the lease outlives its last renewal; it is renewed three times as often.
        look_seconds: How often it is asked for while another holds it.
        monotonic: This machine's clock, in seconds.
    """

    def __init__(
        self,
        name: str,
        store: LeaseStore,
        owner: str,
        *,
        ttl_seconds: float = 5,
        look_seconds: float = LOOK_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._store = store
        self._owner = owner
        self._ttl_seconds = ttl_seconds
        self._look_seconds = look_seconds
        self._monotonic = monotonic
        self._held_until: float | None = None
        self._acquired = asyncio.Event()
        self._woken = asyncio.Event()

    @property
    def is_leader(self) -> bool:
        """True while the lease is held, as far as can be known here.

        False as soon as it may have run out by the local clock, or is doubted.

        What a leader writes should be guarded by the owner all the same: a process can be suspended at any point, and
        may be the last to hear why its lease is to be doubted.
        """
        return self._held_until is not None and self._monotonic() < self._held_until

    def doubt(self) -> None:
        """Say that another may take the lease from now on: this one does not lead until it has it again.

        It asks at once.
        """
        if self._held_until is not None:
            _log.warning("leadership.doubted", actor=self.name)
        self._held_until = None
        self._woken.set()

    def stop(self) -> None:
        """Begin the drain: give the lease back."""
        super().stop()
        self._woken.set()

    async def wait_until_leader(self) -> None:
        """Return at once when leading, else as soon as the lease is acquired."""
        while not self.is_leader:
            self._acquired.clear()
            await self._acquired.wait()

    async def run(self, started: Callable[[], None]) -> None:
        """Acquire and renew the lease until stopped; then give it back, so that another need not wait for its end.

        Serves from the start: not leading is no fault.
        """
        started()
        # A server that is started again is there within a second, and has nobody lead until it is asked.
        backoff = Backoff(self._look_seconds, 2 * self._look_seconds)
        try:
            while not self._stop_requested.is_set():
                self._woken.clear()
                if await self._renew():
                    backoff.reset()
                    pause = self._look_seconds if self._held_until is None else self._seconds_to_renewal
                else:
                    pause = backoff.next()
                await is_set_within(self._woken, pause)
        finally:
            await self._release()

    @property
    def _seconds_to_renewal(self) -> float:
        return self._ttl_seconds / RENEWALS_PER_TTL

    async def _renew(self) -> bool:
        """Ask for the lease; return whether there was an answer."""
        # Counted from before the request, since the store's time to live begins no earlier.
        asked_at = self._monotonic()
        try:
            # When the lease may have run out, there is nothing to hope for.
            async with asyncio.timeout(self._ttl_seconds - self._seconds_to_renewal):
                is_held = await self._store.acquire(self._owner, self._ttl_seconds)
        except Exception as error:
            # The lease we have, if any, is good until it runs out, unless `doubt` says otherwise.
            _log.warning("leadership.renewal_failed", actor=self.name, error_type=type(error).__name__)
            return False
        if is_held and self._held_until is None:
            _log.info("leadership.acquired", actor=self.name)
        elif not is_held and self._held_until is not None:
            _log.warning("leadership.lost", actor=self.name)
        self._held_until = asked_at + self._ttl_seconds if is_held else None
        if is_held:
            self._acquired.set()
        return True

    async def _release(self) -> None:
        if self._held_until is None:
            return
        self._held_until = None
        try:
            async with asyncio.timeout(self._seconds_to_renewal):
                await self._store.release(self._owner)
        except Exception as error:
            _log.warning("leadership.release_failed", actor=self.name, error_type=type(error).__name__)
