"""How many deliveries are in flight to each webhook, so that one that hangs holds nobody else up."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from taskmill.sdk.errors import NotNow

MAX_IN_FLIGHT = 8
"""To one webhook, from one processor."""

MAX_UNRESPONSIVE = 4
"""To all webhooks together whose receiver did not answer last, and one to each."""

PROMPT_SECONDS = 1.0
"""A receiver that takes longer, or was never heard of, shares half of the room with its like."""

REMEMBERED_LANES = 1_000
"""Of so many webhooks it is known how their receivers answered, at least: those that were told most recently."""

MIN_WAIT_SECONDS = 0.5
MAX_WAIT_SECONDS = 300.0
MAX_SHARED_WAIT_SECONDS = 10.0
"""The same for those whom others are in the way of, not their own receiver: that may be over soon."""

_FIRST_GUESS_SECONDS = 0.1
_WEIGHT_OF_NEWEST = 0.3
_WEIGHT_OF_NEWEST_IN_ROOM = 0.05


class _Turns:
    """Sends those who find no room away one after another, so that each has to come hardly more than once."""

    def __init__(self, max_wait_seconds: float) -> None:
        self._max_wait_seconds = max_wait_seconds
        self._next = 0.0

    def wait_seconds(self, now: float, turn_seconds: float) -> float:
        """When the next one should come again, if there is room for another one each so often."""
        # Who waits for the longest time is at the end of the line; whoever comes behind cannot be sent further.
        self._next = min(max(now, self._next) + turn_seconds, now + self._max_wait_seconds)
        return max(MIN_WAIT_SECONDS, self._next - now)


class _Room:
    """Room that webhooks share."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.in_flight = 0
        self._seconds = _FIRST_GUESS_SECONDS
        self._turns = _Turns(MAX_SHARED_WAIT_SECONDS)

    def note(self, seconds: float) -> None:
        """Note how long a delivery took."""
        self._seconds += _WEIGHT_OF_NEWEST_IN_ROOM * (seconds - self._seconds)

    def wait_seconds(self, now: float) -> float:
        """When the next one that finds no room should come again."""
        return self._turns.wait_seconds(now, self._seconds / self.capacity)


class _Lane:
    """What is known of one webhook's receiver."""

    def __init__(self) -> None:
        self.began_at: list[float] = []
        """When those in flight began."""
        self.is_unresponsive = False
        self.is_known = False
        """Whether its receiver ever answered, or did not."""
        self._seconds = _FIRST_GUESS_SECONDS
        self._turns = _Turns(MAX_WAIT_SECONDS)

    @property
    def capacity(self) -> int:
        return MAX_IN_FLIGHT if self.is_known and not self.is_unresponsive else 1

    def seconds(self, now: float) -> float:
        """How long a delivery takes: the newest count most, and one that goes on counts at once."""
        return max(self._seconds, now - min(self.began_at, default=now))

    def wait_seconds(self, now: float) -> float:
        """When the next one that finds no room should come again."""
        return self._turns.wait_seconds(now, self.seconds(now) / self.capacity)

    def is_prompt(self, now: float) -> bool:
        """Whether its receiver answers, and soon."""
        return self.is_known and not self.is_unresponsive and self.seconds(now) <= PROMPT_SECONDS

    def note(self, seconds: float, *, is_answered: bool) -> None:
        """Note what became of a delivery."""
        self.is_known = True
        self.is_unresponsive = not is_answered
        self._seconds += _WEIGHT_OF_NEWEST * (seconds - self._seconds)


class DeliveryLanes:
    """Lets deliveries pass, or tells them when to come again.

    A slot of the processor stands for each delivery in flight. So a webhook has a few at most, and one as long as its
    receiver is unknown or did not answer last; those who did not answer last have a few together, and all deliveries
    half of the slots. Of these, one half is for receivers that answer promptly, and for one delivery to each: so they
    always find room, whatever the others do. The others come again when it should be their turn, judging by how long
    deliveries to the webhook take: without an attempt of theirs being spent, and with hardly more comings than
    deliveries.

    Args:
        slots: How many handlers the processor executes at once.
        monotonic: This machine's clock, in seconds.
    """

    def __init__(self, slots: int, monotonic: Callable[[], float]) -> None:
        self._capacity = max(1, slots // 2)
        half = max(1, self._capacity // 2)
        self._prompt, self._unprompt, self._unresponsive = _Room(half), _Room(half), _Room(MAX_UNRESPONSIVE)
        self._monotonic = monotonic
        self._lanes: OrderedDict[UUID, _Lane] = OrderedDict()
        self._in_flight = 0

    @contextmanager
    def pass_through(self, webhook_id: UUID) -> Iterator["Passage"]:
        """Hold room for a delivery to a webhook.

        Raises:
            NotNow: There is none; it says when to come again.
        """
        lane = self._lanes.setdefault(webhook_id, _Lane())
        self._lanes.move_to_end(webhook_id)
        passage, began_at = Passage(), self._monotonic()
        rooms = self._rooms(lane, began_at)
        in_the_way = self._in_the_way(lane, rooms)
        if in_the_way is not None:
            raise NotNow(in_the_way.wait_seconds(began_at))
        lane.began_at.append(began_at)
        self._in_flight += 1
        for room in rooms:
            room.in_flight += 1
        try:
            yield passage
        finally:
            seconds = self._monotonic() - began_at
            lane.began_at.remove(began_at)
            self._in_flight -= 1
            for room in rooms:
                room.in_flight -= 1
            if passage.is_answered is not None:
                lane.note(seconds, is_answered=passage.is_answered)
                rooms[0].note(seconds)
            self._forget_idle()

    def _rooms(self, lane: _Lane, now: float) -> list[_Room]:
        """What a delivery takes room of."""
        if lane.is_prompt(now):
            return [self._prompt]
        return [self._unprompt, self._unresponsive] if lane.is_unresponsive else [self._unprompt]

    def _in_the_way(self, lane: _Lane, rooms: list[_Room]) -> _Lane | _Room | None:
        """What has no room for a delivery; None: there is room."""
        if len(lane.began_at) >= lane.capacity or (self._unresponsive in rooms and _is_full(self._unresponsive)):
            return lane
        if self._in_flight >= self._capacity:
            return rooms[0]
        if rooms[0] is self._unprompt:
            return self._unprompt if _is_full(self._unprompt) else None
        # The first of each has all of the room: those that stop answering all of a sudden leave some.
        is_crowded = lane.began_at and self._in_flight >= self._prompt.capacity
        return self._prompt if is_crowded else None

    def _forget_idle(self) -> None:
        """Keep only so much: webhooks come and go, and anybody may make a task that names one."""
        while len(self._lanes) > REMEMBERED_LANES:
            webhook_id, lane = next(iter(self._lanes.items()))
            if lane.began_at:
                self._lanes.move_to_end(webhook_id)
                return
            del self._lanes[webhook_id]


def _is_full(room: _Room) -> bool:
    return room.in_flight >= room.capacity


class Passage:
    """What became of a delivery.

    Attributes:
        is_answered: Whether its receiver answered, whatever; None: it was not asked.
    """

    def __init__(self) -> None:
        self.is_answered: bool | None = None
