"""No more of a kind are at work than its handler wants."""

from taskmill.processor.domain.held_attempt import HeldAttempt
from taskmill.processor.domain.kind_limits import KindLimits
from tests.unit.processor.builders import new_attempt


def left(limits: KindLimits, attempt: HeldAttempt) -> HeldAttempt | None:
    """Whose turn it is when an attempt at work has ended."""
    limits.leave(attempt)
    return limits.next_of("k")


def test_a_kind_without_a_limit_is_let_through() -> None:
    """Nobody counts it."""
    limits, attempt = KindLimits({"other": 1}), new_attempt()
    assert limits.enter(attempt)
    limits.leave(attempt)
    assert limits.has_room(attempt)
    assert limits.next_of("k") is None
    assert not limits.give_up(attempt)


def test_attempts_have_their_turn_in_order() -> None:
    """As each one at work ends, the next one goes to work; the last one leaves its place."""
    limits = KindLimits({"k": 2})
    first, second, third, fourth = (new_attempt(number) for number in range(1, 5))
    assert [limits.enter(it) for it in (first, second, third, fourth)] == [True, True, False, False]
    assert limits.waiting_count == 2
    assert limits.next_of("k") is None
    assert [left(limits, it) for it in (second, first, third, fourth)] == [third, fourth, None, None]
    assert limits.enter(first)


def test_who_waits_can_give_up() -> None:
    """A place in the line is nobody's then."""
    limits = KindLimits({"k": 1})
    first, second, third = (new_attempt(number) for number in range(1, 4))
    assert [limits.enter(it) for it in (first, second, third)] == [True, False, False]
    assert limits.give_up(second)
    assert not limits.give_up(first)
    assert left(limits, first) is third


def test_all_that_wait_can_be_taken() -> None:
    """For the drain."""
    limits = KindLimits({"k": 1})
    attempts = [new_attempt(number) for number in range(1, 4)]
    for attempt in attempts:
        limits.enter(attempt)
    assert limits.take_waiting() == attempts[1:]
    assert left(limits, attempts[0]) is None


def test_a_place_that_is_lost_comes_back_when_its_handler_ends() -> None:
    """Until then it is taken; when all are lost, the kind is stuck."""
    limits = KindLimits({"k": 2})
    first, second, third = (new_attempt(number) for number in range(1, 4))
    assert [limits.enter(it) for it in (first, second, third)] == [True, True, False]
    limits.lose(first)
    assert not limits.is_stuck("k")
    limits.lose(second)
    assert limits.is_stuck("k")
    assert not limits.is_stuck("other")
    assert limits.take_waiting(kind="other") == []
    assert left(limits, first) is third
    assert not limits.is_stuck("k")
