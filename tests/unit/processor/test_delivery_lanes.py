"""How many deliveries are in flight, and when the others come again."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from uuid import UUID

import pytest

from taskmill.processor.domain.delivery_lanes import (
    MAX_IN_FLIGHT,
    MAX_SHARED_WAIT_SECONDS,
    MAX_UNRESPONSIVE,
    MAX_WAIT_SECONDS,
    MIN_WAIT_SECONDS,
    PROMPT_SECONDS,
    REMEMBERED_LANES,
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


def lanes_of_prompt(slots: int, clock: Clock) -> DeliveryLanes:
    """Lanes that know all receivers as such that answer at once."""
    lanes = DeliveryLanes(slots, clock)
    for webhook_id in HOOKS:
        answer(lanes, clock, webhook_id, 0.01)
    return lanes


def answer(lanes: DeliveryLanes, clock: Clock, webhook_id: UUID, seconds: float) -> None:
    """Let a delivery be answered after some time."""
    with lanes.pass_through(webhook_id) as passage:
        clock.now += seconds
        passage.is_answered = True


def hang(lanes: DeliveryLanes, clock: Clock, webhook_id: UUID) -> None:
    """Let a delivery end without an answer after 20 s."""
    with lanes.pass_through(webhook_id) as passage:
        clock.now += 20
        passage.is_answered = False


def test_a_webhook_has_a_few_in_flight_and_others_have_room() -> None:
    """One that is busy holds nobody else up."""
    lanes = lanes_of_prompt(100, Clock())
    with in_flight(lanes, HOOKS[0], MAX_IN_FLIGHT):
        assert wait(lanes, HOOKS[0]) >= MIN_WAIT_SECONDS
        with in_flight(lanes, HOOKS[1], MAX_IN_FLIGHT):
            pass
    with in_flight(lanes, HOOKS[0], MAX_IN_FLIGHT):
        pass


def test_all_deliveries_leave_half_of_the_slots() -> None:
    """Other work goes on, however many webhooks there are."""
    lanes = lanes_of_prompt(10, Clock())
    with ExitStack() as stack:
        for webhook_id in HOOKS[:5]:
            stack.enter_context(in_flight(lanes, webhook_id, 1))
        wait(lanes, HOOKS[5])
    with in_flight(DeliveryLanes(1, Clock()), HOOKS[0], 1):
        pass


def test_receivers_that_hang_have_one_each_and_a_few_together() -> None:
    """Until one of them answers: then it is like any other."""
    clock = Clock()
    lanes = lanes_of_prompt(100, clock)
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
    lanes = lanes_of_prompt(100, clock)
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


def test_receivers_that_nobody_knows_leave_room_for_prompt_ones() -> None:
    """Each has one delivery until it answers, and all together have half of the room: they may all hang."""
    clock = Clock()
    lanes = DeliveryLanes(100, clock)
    answer(lanes, clock, HOOKS[99], 0.01)
    with ExitStack() as stack:
        for webhook_id in HOOKS[:25]:
            stack.enter_context(in_flight(lanes, webhook_id, 1))
            wait(lanes, webhook_id)
        wait(lanes, HOOKS[25])
        stack.enter_context(in_flight(lanes, HOOKS[99], 1))


def test_receivers_that_are_slow_leave_room_for_prompt_ones() -> None:
    """They answer, but nobody waits for them."""
    clock = Clock()
    lanes = lanes_of_prompt(100, clock)
    for webhook_id in HOOKS[:10]:
        for _ in range(3):
            answer(lanes, clock, webhook_id, 10 * PROMPT_SECONDS)
    with ExitStack() as stack:
        for webhook_id in HOOKS[:3]:
            stack.enter_context(in_flight(lanes, webhook_id, MAX_IN_FLIGHT))
        stack.enter_context(in_flight(lanes, HOOKS[3], 1))
        wait(lanes, HOOKS[4])
        for webhook_id in HOOKS[50:75]:
            stack.enter_context(in_flight(lanes, webhook_id, 1))


def test_prompt_receivers_that_hang_all_of_a_sudden_leave_room_for_one_delivery_to_each() -> None:
    """What they hold is not known to be slow yet."""
    lanes = lanes_of_prompt(100, Clock())
    with ExitStack() as stack:
        for webhook_id in HOOKS[:3]:
            stack.enter_context(in_flight(lanes, webhook_id, MAX_IN_FLIGHT))
        stack.enter_context(in_flight(lanes, HOOKS[3], 1))
        wait(lanes, HOOKS[3])
        for webhook_id in HOOKS[50:75]:
            stack.enter_context(in_flight(lanes, webhook_id, 1))
        wait(lanes, HOOKS[75])


def test_what_is_known_of_receivers_is_bounded() -> None:
    """Anybody may make a task that names a webhook; those in flight are never forgotten."""
    clock = Clock()
    lanes = lanes_of_prompt(100, clock)
    with in_flight(lanes, HOOKS[0], 1):
        for number in range(REMEMBERED_LANES * 2):
            answer(lanes, clock, UUID(int=1_000 + number), 0.01)
        with in_flight(lanes, HOOKS[0], MAX_IN_FLIGHT - 1):
            wait(lanes, HOOKS[0])
    with in_flight(lanes, HOOKS[1], 1):
        wait(lanes, HOOKS[1])


def test_those_whom_others_are_in_the_way_of_come_one_after_another() -> None:
    """As fast as the room that they share gets free, whichever webhook they are for; and soon in any case."""
    clock = Clock()
    lanes = lanes_of_prompt(100, clock)
    for number in range(100):
        answer(lanes, clock, HOOKS[number % 50], 0.5)
    with ExitStack() as stack:
        for webhook_id in HOOKS[:50]:
            stack.enter_context(in_flight(lanes, webhook_id, 1))
        waits = [wait(lanes, webhook_id) for webhook_id in HOOKS[50:] * 20]
        assert waits == sorted(waits)
        assert len(set(waits)) > 450
        assert waits[-1] == MAX_SHARED_WAIT_SECONDS
