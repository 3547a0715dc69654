"""What a subscriber has heard and not looked at yet."""

import asyncio
from collections import deque
from typing import NamedTuple

from taskmill.contracts import subjects
from taskmill.contracts.streams import POSITION_HEADER, PREVIOUS_POSITION_HEADER, parse_position
from taskmill.runtime.actor import is_set_within
from taskmill.runtime.nats_protocol import header_value
from taskmill.runtime.ordered_consumer import StreamedMessage
from taskmill.sdk.event import Event


class Arrival(NamedTuple):
    """A message that holds an event."""

    position: int
    previous: int
    """The position of the event before it in the log; -1: not told."""
    message: StreamedMessage

    def event(self) -> Event:
        """The event in it."""
        return Event.of(self.position, *subjects.parse_event(self.message.subject), self.message.body)


class Arrivals:
    """A bounded queue that would rather forget everything than hold up NATS: what was in it is in the log, too.

    Args:
        capacity: How many messages may wait.
        capacity_bytes: How large their bodies may be together.

    Attributes:
        is_doubtful: Whether something was heard that is not here, or may not have been heard.
    """

    def __init__(self, capacity: int, capacity_bytes: int) -> None:
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._waiting_bytes = 0
        self._waiting: deque[Arrival] = deque()
        self._changed = asyncio.Event()
        self.is_doubtful = False

    def put(self, message: StreamedMessage) -> None:
        """Let a message wait."""
        position = parse_position(header_value(message.headers, POSITION_HEADER))
        if position is None:
            # Somebody else's: Taskmill publishes none without.
            return
        body_bytes = len(message.body)
        if len(self._waiting) >= self._capacity or self._waiting_bytes + body_bytes > self._capacity_bytes:
            self.doubt()
            return
        previous = parse_position(header_value(message.headers, PREVIOUS_POSITION_HEADER))
        self._waiting.append(Arrival(position, -1 if previous is None else previous, message))
        self._waiting_bytes += body_bytes
        self._changed.set()

    def doubt(self) -> None:
        """Say that something may be missing: what waits is of no use any more, the log is read instead."""
        self._waiting.clear()
        self._waiting_bytes = 0
        self.is_doubtful = True
        self._changed.set()

    async def wait(self, within_seconds: float) -> bool:
        """Return when something waits or is in doubt, or when time is over; then False."""
        if self._waiting or self.is_doubtful:
            return True
        self._changed.clear()
        return await is_set_within(self._changed, within_seconds)

    def take(self, count: int) -> list[Arrival]:
        """The next ones, so many at most."""
        taken = [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]
        self._waiting_bytes -= sum(len(arrival.message.body) for arrival in taken)
        return taken
