"""How many deliveries are in flight, and when the others come again."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from uuid import UUID

import pytest

from taskmill.processor.domain.delivery_lanes import (
    MAX_IN_FLIGHT,
    MAX_UNRESPONSIVE,
    MAX_WAIT_SECONDS,
    MIN_WAIT_SECONDS,
    DeliveryLanes,
)
from taskmill.sdk import NotNow

HOOKS = [UUID(int=number) for number in range(100)]


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        """What it shows."""
        return self.now


@contextmanager
def in_flight(lanes: DeliveryLanes, webhook_id: UUID, count: int) -> Iterator[None]:
    """Hold room for deliveries; they end as answered."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(lanes.pass_through(webhook_id)).is_answered = True
        yield


def wait(lanes: DeliveryLanes, webhook_id: UUID) -> float:
    """When a delivery that finds no room is to come again."""
    with pytest.raises(NotNow) as raised, lanes.pass_through(webhook_id):
        pass
    return raised.value.after_seconds


def hang(lanes: DeliveryLanes, clock: Clock, webhook_id: UUID) -> None:
    """Let a delivery end without an answer after 20 s."""
    with lanes.pass_through(webhook_id) as passage:
        clock.now += 20
        passage.is_answered = False


def test_a_webhook_has_a_few_in_flight_and_others_have_room() -> None:
    """One that is busy holds nobody else up."""
    lanes = DeliveryLanes(100, Clock())
    with in_flight(lanes, HOOKS[0], MAX_IN_FLIGHT):
        assert wait(lanes, HOOKS[0]) >= MIN_WAIT_SECONDS
        with in_flight(lanes, HOOKS[1], MAX_IN_FLIGHT):
            pass
    with in_flight(lanes, HOOKS[0], MAX_IN_FLIGHT):
        pass


def test_all_deliveries_leave_half_of_the_slots() -> None:
    """Other work goes on, however many webhooks there are."""
    lanes = DeliveryLanes(10, Clock())
    with ExitStack() as stack:
        for webhook_id in HOOKS[:5]:
            stack.enter_context(in_flight(lanes, webhook_id, 1))
        wait(lanes, HOOKS[5])
    with in_flight(DeliveryLanes(1, Clock()), HOOKS[0], 1):
        pass


def test_receivers_that_hang_have_one_each_and_a_few_together() -> None:
    """Until one of them answers: then it is like any other."""
    clock = Clock()
    lanes = DeliveryLanes(100, clock)
    for webhook_id in HOOKS[:10]:
        hang(lanes, clock, webhook_id)
    with ExitStack() as stack:
        for webhook_id in HOOKS[:MAX_UNRESPONSIVE]:
            stack.enter_context(in_flight(lanes, webhook_id, 1))
            wait(lanes, webhook_id)
        wait(lanes, HOOKS[MAX_UNRESPONSIVE])
        stack.enter_context(in_flight(lanes, HOOKS[50], MAX_IN_FLIGHT))
    with in_flight(lanes, HOOKS[0], MAX_IN_FLIGHT):
        pass


def test_those_that_wait_come_one_after_another() -> None:
    """As fast as the receiver takes them, so that each comes about once."""
    clock = Clock()
    lanes = DeliveryLanes(100, clock)
    with in_flight(lanes, HOOKS[0], MAX_IN_FLIGHT):
        clock.now += 8
        waits = [wait(lanes, HOOKS[0]) for _ in range(1_000)]
    assert waits[:3] == [1, 2, 3]
    assert waits[-1] == MAX_WAIT_SECONDS


def test_what_was_not_asked_tells_nothing_of_the_receiver() -> None:
    """The store was away, say."""
    clock = Clock()
    lanes = DeliveryLanes(100, clock)
    hang(lanes, clock, HOOKS[0])
    with lanes.pass_through(HOOKS[0]):
        pass
    with in_flight(lanes, HOOKS[0], 1):
        wait(lanes, HOOKS[0])
