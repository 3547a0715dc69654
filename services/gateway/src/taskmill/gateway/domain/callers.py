"""Who asks, and what they may do."""

import asyncio
import math
from collections.abc import Callable, Collection

from taskmill.contracts.api_keys import ALL_SCOPES

Monotonic = Callable[[], float]
"""Tells the time in seconds since some moment."""


class Caller:
    """Somebody who asks.

    Args:
        name: What they are called: `key:<id>`, `token:<subject>`, `local-dev` or `anonymous`.
        scopes: What they may do.
        valid_until: Until when, on the monotonic clock, that is known to hold.
        ends_at: When it ceases to hold, on the same clock, whatever is found out until then.

    Attributes:
        is_used: Whether they have asked for something since somebody looked.
        followers: How many streams of theirs are open.
        is_over: Whether they may do nothing any more.
    """

    __slots__ = ("_over", "ends_at", "followers", "is_used", "name", "scopes", "valid_until")

    def __init__(
        self,
        name: str,
        scopes: Collection[str],
        *,
        valid_until: float = math.inf,
        ends_at: float = math.inf,
    ) -> None:
        self.name = name
        self.scopes = frozenset(scopes)
        self.valid_until = valid_until
        self.ends_at = ends_at
        self.is_used = False
        self.followers = 0
        self._over = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Whether they may do nothing any more."""
        return self._over.is_set()

    def end(self) -> None:
        """Let them do nothing any more."""
        self.valid_until = -math.inf
        self._over.set()

    async def ended(self, clock: Monotonic) -> None:
        """Return when they may do nothing any more: for what goes on after a request was let in."""
        self.followers += 1
        try:
            async with asyncio.timeout(None if self.ends_at == math.inf else self.ends_at - clock()):
                await self._over.wait()
        except TimeoutError:
            return
        finally:
            self.followers -= 1


def local_developer() -> Caller:
    """Whoever asks without credentials where only this machine can ask."""
    return Caller("local-dev", ALL_SCOPES)


def anybody() -> Caller:
    """Whoever asks, where the operator wants no credentials."""
    return Caller("anonymous", ALL_SCOPES)
