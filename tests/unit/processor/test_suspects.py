"""Who is suspected, and who runs when."""

from taskmill.processor.domain import suspects
from taskmill.processor.domain.suspects import DeclinedWork, Suspects
from tests.unit.processor.builders import new_attempt


def test_every_delivery_before_may_have_been_a_crash() -> None:
    """Somebody may have begun it; at the first there was none."""
    declined = DeclinedWork()
    assert [declined.possible_crashes(7, delivery) for delivery in (1, 2, 3)] == [0, 1, 2]


def test_what_was_only_declined_here_is_no_suspect() -> None:
    """As long as every delivery of it was declined here, one after the other."""
    declined = DeclinedWork()
    declined.note(7, 1)
    assert declined.possible_crashes(7, 2) == 0
    declined.note(7, 2)
    assert declined.possible_crashes(7, 3) == 0
    assert declined.possible_crashes(7, 4) == 3
    assert declined.possible_crashes(8, 2) == 1


def test_declining_a_suspect_does_not_clear_it() -> None:
    """Whoever had it before may have begun it."""
    declined = DeclinedWork()
    declined.note(7, 2)
    assert declined.possible_crashes(7, 3) == 2


def test_the_oldest_is_forgotten() -> None:
    """The memory is bounded; what is forgotten is suspected again."""
    declined = DeclinedWork()
    for sequence in range(suspects.MAX_DECLINED + 1):
        declined.note(sequence, 1)
    assert declined.possible_crashes(0, 2) == 1
    assert declined.possible_crashes(1, 2) == 0


def test_one_runs_at_a_time_in_order() -> None:
    """The next has its turn when the one that ran has left."""
    line, first, second, third = Suspects(), new_attempt(1), new_attempt(2), new_attempt(3)
    for attempt in (first, second, third):
        line.enter(attempt)
    assert line.next_to_run() is first
    assert line.next_to_run() is None
    assert (line.waiting_count, first in line, second in line) == (2, False, True)
    line.leave(second)
    line.leave(second)
    assert line.next_to_run() is None
    line.leave(first)
    assert line.next_to_run() is third
    line.leave(third)
    assert line.next_to_run() is None


def test_all_that_wait_are_taken_out_at_once() -> None:
    """The one that runs stays."""
    line, first, second = Suspects(), new_attempt(1), new_attempt(2)
    line.enter(first)
    line.next_to_run()
    line.enter(second)
    assert line.take_waiting() == [second]
    assert line.waiting_count == 0
    line.leave(second)
    line.enter(second)
    assert line.next_to_run() is None


def test_who_has_another_chance_goes_first() -> None:
    """What may have been in two crashes waits until the others are under way."""
    line, last_chance, other = Suspects(), new_attempt(1, possible_crashes=2), new_attempt(2, possible_crashes=1)
    line.enter(last_chance)
    line.enter(other)
    assert line.next_to_run() is other
    line.leave(other)
    assert line.next_to_run() is last_chance


def test_after_one_crash_a_suspect_makes_way_for_the_next() -> None:
    """It stays at work, and the next begins beside it."""
    line, first, second = Suspects(), new_attempt(1, possible_crashes=1), new_attempt(2, possible_crashes=1)
    line.enter(first)
    line.enter(second)
    assert line.next_to_run() is first
    line.make_way(first)
    assert line.next_to_run() is second


def test_who_is_on_its_last_chance_has_its_turn_alone() -> None:
    """It begins when no other suspect is at work any more, and makes no way."""
    line, last_chance = Suspects(), new_attempt(1, possible_crashes=2)
    others = [new_attempt(number, possible_crashes=1) for number in (2, 3)]
    line.enter(others[0])
    line.next_to_run()
    line.make_way(others[0])
    line.enter(last_chance)
    assert line.next_to_run() is None
    line.leave(others[0])
    assert line.next_to_run() is last_chance
    line.make_way(last_chance)
    line.enter(others[1])
    assert line.next_to_run() is None
    line.leave(last_chance)
    assert line.next_to_run() is others[1]
