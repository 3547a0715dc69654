"""For how long a report is asked for again that came before those that it must follow."""

OUT_OF_TURN_SECONDS = 30.0
"""By then a store that had the others in hand when it died has been followed by another. If they are lost, so is the
report: the lease of its attempt runs out, and the attempt is executed again."""

MAX_REMEMBERED = 1_000


class Patience:
    """Since when bundles have been coming too early, by their place in the stream.

    How often a bundle was delivered says nothing: most of that may have been while PostgreSQL was away.

    Args:
        seconds: How long a bundle is asked for again.
        capacity: How many are remembered; of more the oldest are waited for anew.
    """

    def __init__(self, seconds: float = OUT_OF_TURN_SECONDS, *, capacity: int = MAX_REMEMBERED) -> None:
        self._seconds = seconds
        self._capacity = capacity
        self._since: dict[int, float] = {}

    def is_over(self, sequence: int, now: float) -> bool:
        """Whether a bundle that comes too early, again or for the first time, is not to be asked for any more.

        Args:
            sequence: Its place in the stream.
            now: In seconds of a monotonic clock.
        """
        since = self._since.setdefault(sequence, now)
        if len(self._since) > self._capacity:
            del self._since[next(iter(self._since))]
        if now - since < self._seconds:
            return False
        self._since.pop(sequence, None)
        return True
