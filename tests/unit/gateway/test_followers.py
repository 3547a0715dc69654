"""What waits for one who follows."""

import asyncio

from taskmill.gateway.domain.following import EventFilter, FollowedEvent
from taskmill.gateway.followers import MAX_TAKEN_BYTES, Follower


def event(position: int, size: int = 1) -> FollowedEvent:
    """An event."""
    return FollowedEvent(position, "created", "echo", "task", bytes(size))


def follower(capacity: int = 10, capacity_bytes: int = 10 * MAX_TAKEN_BYTES) -> Follower:
    """Somebody who wants everything."""
    return Follower(EventFilter(), capacity=capacity, capacity_bytes=capacity_bytes)


async def test_an_event_that_comes_when_time_is_over_is_taken() -> None:
    """In the very turn of the event loop in which the timer fires: otherwise it would be taken for told."""
    one, loop = follower(), asyncio.get_running_loop()
    taking = asyncio.ensure_future(one.take(0))
    await asyncio.sleep(0)
    loop.call_soon(one.offer, event(1))
    assert [taken.position for taken in await taking] == [1]


async def test_no_more_is_taken_at_once_than_may() -> None:
    """So that a connection never holds more; one event always goes."""
    one = follower()
    for position, size in enumerate((MAX_TAKEN_BYTES - 1, 1, 1, 2 * MAX_TAKEN_BYTES, 1), 1):
        one.offer(event(position, size))
    parts = [[taken.position for taken in await one.take(0)] for _ in range(4)]
    assert parts == [[1, 2], [3], [4], [5]]


async def test_who_takes_nothing_is_cut_off() -> None:
    """By the number of events and by their bytes; what waits is still taken."""
    by_number, by_bytes = follower(capacity=2), follower(capacity_bytes=2)
    for position in range(1, 5):
        by_number.offer(event(position))
        by_bytes.offer(event(position))
    for one in (by_number, by_bytes):
        assert one.is_cut_off
        assert [taken.position for taken in await one.take(0)] == [1, 2]
        assert await one.take(60) == []
