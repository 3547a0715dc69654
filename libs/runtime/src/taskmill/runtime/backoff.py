"""Growing pauses between attempts."""

import random


class Backoff:
    """Pauses that double, with jitter, so that many who failed together do not return together.

    Args:
        base_seconds: The first pause, before jitter.
        cap_seconds: No pause is longer, before jitter.
        jitter: The share of a pause that is random, from 0 (none) to 1: a pause of 10 s with 0.2 lasts 8 to 10 s.
    """

    def __init__(self, base_seconds: float = 0.1, cap_seconds: float = 5, jitter: float = 0.2) -> None:
        self._base_seconds = base_seconds
        self._cap_seconds = cap_seconds
        self._jitter = jitter
        self._pause_seconds = base_seconds

    def next(self) -> float:
        """How many seconds to wait now; the next answer is longer, up to the cap."""
        pause_seconds = min(self._pause_seconds, self._cap_seconds)
        self._pause_seconds = min(pause_seconds * 2, self._cap_seconds)
        return pause_seconds * (1 - self._jitter * random.random())

    def reset(self) -> None:
        """Start over with the first pause: something went well."""
        self._pause_seconds = self._base_seconds
