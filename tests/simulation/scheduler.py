"""Fake time: what happens next, one thing after the other, in an order that one seed decides."""

from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import TypeVar

T = TypeVar("T")

Steps = Generator[float, None, T]
"""What a process does, in steps: each `yield` lets so many seconds pass, in which it may crash or be suspended."""

EPOCH = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Life:
    """A process from its start to its crash: what it still had in mind dies with it."""

    __slots__ = ("is_over", "suspended_until")

    def __init__(self) -> None:
        self.is_over = False
        self.suspended_until = 0.0
        """In seconds of the scheduler: until then nothing of it happens, and all of it is late (SIGSTOP)."""


class Activity:
    """One thing that a process does beside others."""

    __slots__ = ("_scheduler", "life", "steps", "turn")

    def __init__(self, scheduler: "Scheduler", life: Life, steps: Steps[None]) -> None:
        self._scheduler = scheduler
        self.life = life
        self.steps = steps
        self.turn = 0

    def wake(self) -> None:
        """End the wait that it is in, if it is in one."""
        self._scheduler.go_on(self, 0)


class Scheduler:
    """A clock that jumps to whatever is due next.

    Args:
        random: Decides the order of what happens at the same time.
    """

    def __init__(self, random: Random) -> None:
        self.now = 0.0
        self._random = random
        self._count = count()
        self._agenda: list[tuple[float, int, Life, Activity | Callable[[], None], int]] = []

    def utc(self) -> datetime:
        """The clock on the wall."""
        return EPOCH + timedelta(seconds=self.now)

    def after(self, seconds: float, life: Life, action: Callable[[], None]) -> None:
        """Do something later, if the process lives then."""
        heappush(self._agenda, (self.now + seconds, next(self._count), life, action, 0))

    def spawn(self, life: Life, steps: Steps[None]) -> Activity:
        """Begin an activity of a process."""
        activity = Activity(self, life, steps)
        self.go_on(activity, 0)
        return activity

    def go_on(self, activity: Activity, seconds: float) -> None:
        """Let an activity take its next step later, and no sooner or other time."""
        activity.turn += 1
        heappush(self._agenda, (self.now + seconds, next(self._count), activity.life, activity, activity.turn))

    def run(self, until: float) -> None:
        """Let everything happen that is due by an instant, in seconds of this clock."""
        agenda = self._agenda
        while agenda and agenda[0][0] <= until:
            at, _, life, what, turn = heappop(agenda)
            self.now = at
            if life.is_over:
                continue
            if life.suspended_until > at:
                # It wakes up to everything at once, in any order.
                late = life.suspended_until + self._random.random() * 0.05
                heappush(agenda, (late, next(self._count), life, what, turn))
            elif not isinstance(what, Activity):
                what()
            elif what.turn == turn:
                self._step(what, turn)
        self.now = until

    def _step(self, activity: Activity, turn: int) -> None:
        try:
            seconds = next(activity.steps)
        except StopIteration:
            return
        # Unless it was woken by what it just did.
        if activity.turn == turn:
            self.go_on(activity, seconds)
