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

_FIRST_GUESS_SECONDS = 0.1
_WEIGHT_OF_NEWEST = 0.3


class _Lane:
    """What is known of one webhook's receiver."""

    def __init__(self) -> None:
        self.began_at: list[float] = []
        """When those in flight began."""
        self.is_unresponsive = False
        self.is_known = False
        """Whether its receiver ever answered, or did not."""
        self._seconds = _FIRST_GUESS_SECONDS
        self.next_turn = 0.0
        """When the next one that finds no room should come."""

    @property
    def capacity(self) -> int:
        return MAX_IN_FLIGHT if self.is_known and not self.is_unresponsive else 1

    def seconds(self, now: float) -> float:
        """How long a delivery takes: the newest count most, and one that goes on counts at once."""
        return max(self._seconds, now - min(self.began_at, default=now))

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
        self._half = max(1, self._capacity // 2)
        self._monotonic = monotonic
        self._lanes: OrderedDict[UUID, _Lane] = OrderedDict()
        self._in_flight = 0
        self._unprompt = 0
        self._unresponsive = 0

    @contextmanager
    def pass_through(self, webhook_id: UUID) -> Iterator["Passage"]:
        """Hold room for a delivery to a webhook.

        Raises:
            NotNow: There is none; it says when to come again.
        """
        lane = self._lanes.setdefault(webhook_id, _Lane())
        self._lanes.move_to_end(webhook_id)
        passage, began_at = Passage(), self._monotonic()
        is_prompt, is_probe = lane.is_prompt(began_at), lane.is_unresponsive
        if not self._has_room(lane, is_prompt=is_prompt):
            raise NotNow(self._wait_seconds(lane))
        lane.began_at.append(began_at)
        self._in_flight += 1
        self._unprompt += not is_prompt
        self._unresponsive += is_probe
        try:
            yield passage
        finally:
            lane.began_at.remove(began_at)
            self._in_flight -= 1
            self._unprompt -= not is_prompt
            self._unresponsive -= is_probe
            if passage.is_answered is not None:
                lane.note(self._monotonic() - began_at, is_answered=passage.is_answered)
            self._forget_idle()

    def _has_room(self, lane: _Lane, *, is_prompt: bool) -> bool:
        if self._in_flight >= self._capacity or len(lane.began_at) >= lane.capacity:
            return False
        if lane.is_unresponsive and self._unresponsive >= MAX_UNRESPONSIVE:
            return False
        if not is_prompt:
            return self._unprompt < self._half
        # The first of each has all of the room: those that stop answering all of a sudden leave some.
        return not lane.began_at or self._in_flight < self._half

    def _wait_seconds(self, lane: _Lane) -> float:
        now = self._monotonic()
        lane.next_turn = max(now, lane.next_turn) + lane.seconds(now) / lane.capacity
        wait = min(MAX_WAIT_SECONDS, max(MIN_WAIT_SECONDS, lane.next_turn - now))
        # Who waits for the longest time is at the end of the line; whoever comes behind cannot be sent further.
        lane.next_turn = min(lane.next_turn, now + MAX_WAIT_SECONDS)
        return wait

    def _forget_idle(self) -> None:
        """Keep only so much: webhooks come and go, and anybody may make a task that names one."""
        while len(self._lanes) > REMEMBERED_LANES:
            webhook_id, lane = next(iter(self._lanes.items()))
            if lane.began_at:
                self._lanes.move_to_end(webhook_id)
                return
            del self._lanes[webhook_id]


class Passage:
    """What became of a delivery.

    Attributes:
        is_answered: Whether its receiver answered, whatever; None: it was not asked.
    """

    def __init__(self) -> None:
        self.is_answered: bool | None = None
