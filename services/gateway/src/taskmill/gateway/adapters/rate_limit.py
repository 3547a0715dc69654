"""How often somebody may ask: counted here, for this process alone."""

import math
import time

from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from taskmill.gateway.errors import RateLimitedError


class RateLimit:
    """Counts what callers ask for.

    Args:
        limit: So many requests in such a time, as `600/minute`.
    """

    def __init__(self, limit: str) -> None:
        self._item = parse(limit)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._policy = f'"default";q={self._item.amount};w={self._item.get_expiry()}'

    async def count(self, caller: str) -> dict[str, str]:
        """Count one more request of a caller, and return the headers that tell where they stand.

        https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/

        Raises:
            RateLimitedError: They have asked as often as they may.
        """
        is_within = await self._limiter.hit(self._item, caller)
        stats = await self._limiter.get_window_stats(self._item, caller)
        seconds = max(math.ceil(stats.reset_time - time.time()), 0)
        headers = {"RateLimit-Policy": self._policy, "RateLimit": f'"default";r={stats.remaining};t={seconds}'}
        if not is_within:
            raise RateLimitedError(max(seconds, 1), headers)
        return headers
