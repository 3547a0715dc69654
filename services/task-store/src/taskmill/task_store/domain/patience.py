"""For how long reports wait that came before those that they must follow."""

from taskmill.contracts.streams import MAX_REPORTS_PENDING

OUT_OF_TURN_SECONDS = 30.0
"""By then a store that had the others in hand when it died has been followed by another. What has not come is lost."""

SOON_SECONDS, LATER_SECONDS = 0.1, 1.0
"""How soon they are looked at again. Another store that has the others in hand has them for milliseconds, as a rule."""

MAX_REMEMBERED = 2 * MAX_REPORTS_PENDING
"""So many bundles cannot wait at a time; what is remembered beyond those was settled by another store."""


class Patience:
    """Since when bundles have been coming too early, by their place in the stream.

    How often a bundle was delivered says nothing: most of that may have been while PostgreSQL was away, when nothing
    could come that is waited for: the caller forgets a bundle then.

    Args:
        seconds: How long a bundle waits.
        capacity: How many are remembered; of more the oldest are waited for anew.
    """

    def __init__(self, seconds: float = OUT_OF_TURN_SECONDS, *, capacity: int = MAX_REMEMBERED) -> None:
        self._seconds = seconds
        self._capacity = capacity
        self._since: dict[int, float] = {}

    def wait_seconds(self, sequence: int, now: float) -> float | None:
        """How soon to look again at a bundle that comes too early, again or for the first time; None: no more.

        Args:
            sequence: Its place in the stream.
            now: In seconds of a monotonic clock.
        """
        waited = now - self._since.setdefault(sequence, now)
        if len(self._since) > self._capacity:
            del self._since[next(iter(self._since))]
        if waited >= self._seconds:
            return None
        return SOON_SECONDS if waited < LATER_SECONDS else LATER_SECONDS

    def forget(self, sequence: int) -> None:
        """A bundle is settled, and does not come again; or it is to be waited for anew."""
        self._since.pop(sequence, None)
