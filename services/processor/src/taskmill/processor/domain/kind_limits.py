"""How many tasks of a kind are executed here at once, where their handler wants a limit."""

from collections import Counter, deque
from collections.abc import Collection, Mapping

from taskmill.processor.domain.held_attempt import HeldAttempt


class KindLimits:
    """The lines in which attempts wait until fewer of their kind are at work, each in the order of their arrival.

    Args:
        limits: How many at once, of the kinds that have a limit.
    """

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._at_work: Counter[str] = Counter()
        self._lost: dict[str, set[HeldAttempt]] = {kind: set() for kind in limits}
        self._waiting: dict[str, deque[HeldAttempt]] = {kind: deque() for kind in limits}

    @property
    def waiting_count(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values())) if self._waiting else 0

    def enter(self, attempt: HeldAttempt) -> bool:
        """Let an attempt go to work, or wait; return whether it is at work."""
        kind = attempt.work_item.kind
        if kind not in self._limits:
            return True
        if not self.has_room(attempt):
            self._waiting[kind].append(attempt)
            return False
        self._at_work[kind] += 1
        return True

    def lose(self, attempt: HeldAttempt) -> None:
        """An attempt at work has ended, but its handler goes on: its place is taken until `leave`."""
        if attempt.work_item.kind in self._limits:
            self._lost[attempt.work_item.kind].add(attempt)

    def is_stuck(self, kind: str) -> bool:
        """Whether all places of a kind are taken by handlers that nobody waits for any more."""
        limit = self._limits.get(kind)
        return limit is not None and len(self._lost[kind]) >= limit

    def leave(self, attempt: HeldAttempt) -> None:
        """The handler of an attempt that was at work has ended."""
        kind = attempt.work_item.kind
        if kind in self._limits:
            self._lost[kind].discard(attempt)
            self._at_work[kind] -= 1

    def has_room(self, attempt: HeldAttempt) -> bool:
        """Whether one like it would be at work at once."""
        kind = attempt.work_item.kind
        limit = self._limits.get(kind)
        return limit is None or self._at_work[kind] < limit

    def next_of(self, kind: str) -> HeldAttempt | None:
        """The attempt of a kind whose turn has come, which is at work then; None: none waits, or there is no room."""
        waiting = self._waiting.get(kind)
        if not waiting or not self.has_room(waiting[0]):
            return None
        self._at_work[kind] += 1
        return waiting.popleft()

    def give_up(self, attempt: HeldAttempt) -> bool:
        """Take out an attempt that waits; return whether it did."""
        waiting = self._waiting.get(attempt.work_item.kind, ())
        if attempt not in waiting:
            return False
        self._waiting[attempt.work_item.kind].remove(attempt)
        return True

    def take_waiting(self, queues: Collection[str] | None = None, *, kind: str | None = None) -> list[HeldAttempt]:
        """Take out all that wait, of some queues and of one kind; None: of any."""
        taken = [
            attempt
            for its_kind, line in self._waiting.items()
            if kind is None or its_kind == kind
            for attempt in line
            if queues is None or attempt.work_item.queue in queues
        ]
        for attempt in taken:
            self._waiting[attempt.work_item.kind].remove(attempt)
        return taken
