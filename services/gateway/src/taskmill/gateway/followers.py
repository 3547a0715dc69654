"""Those who follow the log through this gateway, and the feed that they follow."""

import asyncio
from collections import deque
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from typing import Protocol

from taskmill.gateway.domain.following import EventFilter, FollowedEvent

TOO_MANY_FOLLOWERS = "As many streams are open, and requests wait, as may at this gateway (TASKMILL_MAX_FOLLOWERS)."
"""What is said to somebody for whom there is no room."""

MAX_TAKEN_BYTES = 1024 * 1024
"""So much a follower takes at once, and a slow client's connection holds beside what waits."""


class Follower:
    """Somebody who follows, with the events that wait for being sent.

    Args:
        wanted: Which events.
        capacity: How many events may wait. One more, and the follower is cut off: it gets those that wait, and has to
            come again with the position of the last one.
        capacity_bytes: How large they may be together, alike.

    Attributes:
        is_cut_off: Whether it gets nothing new any more.
    """

    def __init__(self, wanted: EventFilter, *, capacity: int, capacity_bytes: int) -> None:
        self.wanted = wanted
        self.is_cut_off = False
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._waiting_bytes = 0
        self._waiting: deque[FollowedEvent] = deque()
        self._changed = asyncio.Event()

    def offer(self, event: FollowedEvent) -> None:
        """Let an event wait that was admitted."""
        if self.is_cut_off:
            return
        size = len(event.document)
        is_too_large = self._waiting_bytes + size > self._capacity_bytes
        if self._waiting and (len(self._waiting) >= self._capacity or is_too_large):
            self.cut_off()
            return
        self._waiting.append(event)
        self._waiting_bytes += size
        self._changed.set()

    def cut_off(self) -> None:
        """Let nothing new wait, and say so to who takes."""
        self.is_cut_off = True
        self._changed.set()

    async def take(self, timeout_seconds: float) -> list[FollowedEvent]:
        """Events that wait, in order, 1 MiB or one; wait for one if there is none.

        Empty: time is over, or it is cut off. Then everything up to the feed's position has been taken.
        """
        if not self._waiting and not self.is_cut_off:
            self._changed.clear()
            # What comes in the moment when time is over is there all the same.
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_seconds):
                    await self._changed.wait()
        events: list[FollowedEvent] = []
        size = 0
        while self._waiting and (not events or size + len(self._waiting[0].document) <= MAX_TAKEN_BYTES):
            events.append(self._waiting.popleft())
            size += len(events[-1].document)
        self._waiting_bytes -= size
        return events


class Feed(Protocol):
    """What happens, for those who follow it. `actors.event_feed` has the one that there is."""

    @property
    def position(self) -> int:
        """Up to where in the log everything was offered to those who follow. To be asked while following."""

    @property
    def is_full(self) -> bool:
        """Whether as many follow as may: to be asked before a place is taken."""

    @property
    def places(self) -> int:
        """How many follow."""

    @property
    def streams(self) -> int:
        """How many of those who follow are event streams."""

    def place(self, *, is_stream: bool) -> AbstractContextManager[None]:
        """Count among those who follow, also while what happened before is still being read.

        Args:
            is_stream: Whether it is an event stream, not a request that waits.
        """

    async def closed(self) -> None:
        """Return when nobody may follow any more, for the gateway ends."""

    def follow(self, wanted: EventFilter) -> AbstractAsyncContextManager[Follower]:
        """Get, from now on, every event that is wanted: all behind `position`, and perhaps some before it.

        Raises:
            StoreUnavailableError: The feed cannot start now.
        """


class Followers:
    """All who follow. Those who want one task are found by its id: there may be very many of them."""

    def __init__(self) -> None:
        self._of_one_task: dict[str, set[Follower]] = {}
        self._of_many: set[Follower] = set()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, follower: Follower) -> None:
        """Let somebody follow."""
        self._group(follower).add(follower)
        self._count += 1

    def remove(self, follower: Follower) -> None:
        """Let somebody follow no longer."""
        group = self._group(follower)
        group.remove(follower)
        self._count -= 1
        task_id = follower.wanted.task_id
        if task_id is not None and not group:
            del self._of_one_task[task_id]

    def tell(self, event: FollowedEvent) -> None:
        """Offer an event to all who want it."""
        for group in (self._of_many, self._of_one_task.get(event.task_id, ())):
            for follower in group:
                if follower.wanted.admits(event):
                    follower.offer(event)

    def cut_off_all(self) -> None:
        """End it for all."""
        for group in (self._of_many, *self._of_one_task.values()):
            for follower in group:
                follower.cut_off()

    def _group(self, follower: Follower) -> set[Follower]:
        task_id = follower.wanted.task_id
        return self._of_many if task_id is None else self._of_one_task.setdefault(task_id, set())
