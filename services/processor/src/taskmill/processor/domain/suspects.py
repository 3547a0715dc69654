"""Work items that may have ended the processor that had them before: they are begun one after another.

An attempt that ends its processor takes down everything that runs beside it, and each of these is delivered again as
well. Were they all started together again, the next crash would be charged to all of them. One after another, a crash
is charged to those that were begun; the others, which only wait, stay uncharged.

After one crash the next is begun a moment later: nearly always no task is to blame, and the work of a processor that
died, or of all when NATS was away, is soon under way again. What may have been in two crashes has its next one charged
as its last. So it has its turn alone: no other suspect is at work then, unless it has been for long.
"""

from collections.abc import Callable, Collection
from operator import attrgetter

from taskmill.processor.domain.held_attempt import HeldAttempt

MAX_DECLINED = 10_000

MAKES_WAY_AFTER_SECONDS = 0.05
"""How long what may have been in one crash runs before the next such is begun."""

_LAST_CHANCE_AFTER_CRASHES = 2


def is_last_chance(attempt: HeldAttempt) -> bool:
    """Whether one more crash may be its last."""
    return attempt.possible_crashes >= _LAST_CHANCE_AFTER_CRASHES


class DeclinedWork:
    """Remembers which deliveries were declined here: they tell of no crash."""

    def __init__(self) -> None:
        self._declined: dict[int, int] = {}

    def note(self, stream_sequence: int, delivery: int) -> None:
        """A delivery is declined. Beyond `MAX_DECLINED` the oldest is forgotten, which makes it suspected again.

        Args:
            stream_sequence: Which message of the work stream it is.
            delivery: How often JetStream has delivered it, this time included.
        """
        if self.possible_crashes(stream_sequence, delivery):
            return
        self._declined.pop(stream_sequence, None)
        self._declined[stream_sequence] = delivery
        if len(self._declined) > MAX_DECLINED:
            del self._declined[next(iter(self._declined))]

    def possible_crashes(self, stream_sequence: int, delivery: int) -> int:
        """How many earlier deliveries of this message somebody may have begun: none, if each was declined here."""
        return 0 if self._declined.get(stream_sequence) == delivery - 1 else delivery - 1


class Suspects:
    """The line in which suspected attempts wait for each other: by their possible crashes, then as they arrived."""

    def __init__(self) -> None:
        self._newest: HeldAttempt | None = None
        self._at_work: set[HeldAttempt] = set()
        self._waiting: dict[HeldAttempt, None] = {}

    @property
    def waiting_count(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def enter(self, attempt: HeldAttempt) -> None:
        """Let an attempt wait for its turn."""
        self._waiting[attempt] = None

    def next_to_run(self, may_begin: Callable[[HeldAttempt], bool] = lambda _: True) -> HeldAttempt | None:
        """The attempt whose turn has come, which is at work then; None: it is nobody's turn.

        Args:
            may_begin: Whether there is room for one: the others need not wait for who has none.
        """
        waiting = [] if self._newest is not None else [it for it in self._waiting if may_begin(it)]
        attempt = min(waiting, key=attrgetter("possible_crashes"), default=None)
        if attempt is None or (self._at_work and is_last_chance(attempt)):
            return None
        del self._waiting[attempt]
        self._at_work.add(attempt)
        self._newest = attempt
        return attempt

    def make_way(self, attempt: HeldAttempt) -> None:
        """Let the next begin beside an attempt that is at work, unless either is on its last chance."""
        if attempt is self._newest and not is_last_chance(attempt):
            self._newest = None

    def leave(self, attempt: HeldAttempt) -> None:
        """Take an attempt out, whether it is at work or waits. Nothing happens when it does neither."""
        self._waiting.pop(attempt, None)
        self._at_work.discard(attempt)
        if attempt is self._newest:
            self._newest = None

    def take_waiting(self, queues: Collection[str] | None = None, *, kind: str | None = None) -> list[HeldAttempt]:
        """Take out all that wait, of some queues and of one kind; None: of any."""
        taken = [
            attempt
            for attempt in self._waiting
            if (queues is None or attempt.work_item.queue in queues)
            and (kind is None or attempt.work_item.kind == kind)
        ]
        for attempt in taken:
            del self._waiting[attempt]
        return taken

    def __contains__(self, attempt: HeldAttempt) -> bool:
        """Whether it waits."""
        return attempt in self._waiting
