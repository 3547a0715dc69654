"""Who is suspected, and who runs when."""

from taskmill.processor.domain import suspects
from taskmill.processor.domain.suspects import ReturnedWork, Suspects
from tests.unit.processor.builders import new_attempt


def test_a_first_delivery_is_no_suspect() -> None:
    """A later one is: somebody may have begun it before."""
    returned = ReturnedWork()
    assert not returned.is_suspect(7, 1)
    assert returned.is_suspect(7, 2)


def test_what_was_only_given_back_here_is_no_suspect() -> None:
    """As long as every delivery of it was given back here, one after the other."""
    returned = ReturnedWork()
    returned.note(7, 1)
    assert not returned.is_suspect(7, 2)
    returned.note(7, 2)
    assert not returned.is_suspect(7, 3)
    assert returned.is_suspect(7, 4)
    assert returned.is_suspect(8, 2)


def test_giving_a_suspect_back_does_not_clear_it() -> None:
    """Whoever had it before may have begun it."""
    returned = ReturnedWork()
    returned.note(7, 2)
    assert returned.is_suspect(7, 3)


def test_the_oldest_is_forgotten() -> None:
    """The memory is bounded; what is forgotten is suspected again."""
    returned = ReturnedWork()
    for sequence in range(suspects.MAX_RETURNED + 1):
        returned.note(sequence, 1)
    assert returned.is_suspect(0, 2)
    assert not returned.is_suspect(1, 2)


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


def test_the_third_time_a_suspect_has_more_time_to_itself() -> None:
    """One more crash may be its last, so nobody else is to cause it."""
    assert [suspects.probation_seconds(2, delivery) for delivery in (2, 3, 4)] == [2, 20, 20]
