"""Work items that may have ended the processor that had them before: they are executed one at a time.

An attempt that ends its processor takes down everything that runs beside it, and each of these is delivered again as
well. Were they all started together again, the next crash would be charged to all of them. One at a time, a crash is
charged to the one that was started; the others, which only wait, stay uncharged.

The next is begun when the one before has ended, or has been at work for a while. Whoever takes longer than that may be
taken down a second time; the third time it has the processor to itself for ten times as long.
"""

from taskmill.processor.domain.attempt import Attempt

MAX_RETURNED = 10_000

_LONG_PROBATION_FROM_DELIVERY = 3
_LONG_PROBATION_FACTOR = 10


def probation_seconds(usual_seconds: float, delivery: int) -> float:
    """How long a suspect runs before the next is begun.

    Args:
        usual_seconds: How long after the first crash.
        delivery: How often it has been delivered. From the third time on, one more crash may be its last.
    """
    return usual_seconds * (_LONG_PROBATION_FACTOR if delivery >= _LONG_PROBATION_FROM_DELIVERY else 1)


class ReturnedWork:
    """Remembers which deliveries were given back here without having been begun: they tell of no crash."""

    def __init__(self) -> None:
        self._returned: dict[int, int] = {}

    def note(self, stream_sequence: int, delivery: int) -> None:
        """A delivery is given back. Beyond `MAX_RETURNED` the oldest is forgotten, which makes it suspected again.

        Args:
            stream_sequence: Which message of the work stream it is.
            delivery: How often JetStream has delivered it, this time included.
        """
        if self.is_suspect(stream_sequence, delivery):
            return
        self._returned.pop(stream_sequence, None)
        self._returned[stream_sequence] = delivery
        if len(self._returned) > MAX_RETURNED:
            del self._returned[next(iter(self._returned))]

    def is_suspect(self, stream_sequence: int, delivery: int) -> bool:
        """Whether somebody may have begun an earlier delivery of this message."""
        return delivery > 1 and self._returned.get(stream_sequence) != delivery - 1


class Suspects:
    """The line in which suspected attempts wait for each other, in the order of their arrival."""

    def __init__(self) -> None:
        self._running: Attempt | None = None
        self._waiting: dict[Attempt, None] = {}

    @property
    def waiting_count(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def enter(self, attempt: Attempt) -> None:
        """Let an attempt wait for its turn."""
        self._waiting[attempt] = None

    def next_to_run(self) -> Attempt | None:
        """The attempt whose turn has come, which then runs until it leaves; None: one runs, or none waits."""
        if self._running is not None or not self._waiting:
            return None
        self._running = next(iter(self._waiting))
        del self._waiting[self._running]
        return self._running

    def leave(self, attempt: Attempt) -> None:
        """Take an attempt out, whether it runs or waits. Nothing happens when it does neither."""
        self._waiting.pop(attempt, None)
        if attempt is self._running:
            self._running = None

    def take_waiting(self) -> list[Attempt]:
        """Take out all that wait."""
        waiting, self._waiting = self._waiting, {}
        return list(waiting)

    def __contains__(self, attempt: Attempt) -> bool:
        """Whether it waits."""
        return attempt in self._waiting
