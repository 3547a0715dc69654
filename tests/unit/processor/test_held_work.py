"""What is held is known, from the fetch to the ack."""

from datetime import UTC, datetime

from taskmill.processor.domain.held_work import HeldWork
from taskmill.processor.domain.untold_lines import UntoldLines
from tests.unit.processor.builders import new_attempt, new_line


def test_a_delivery_is_held_from_its_fetch_to_its_release() -> None:
    """It is kept by one reply subject all the way."""
    held, attempt = HeldWork(), new_attempt()
    held.arrive(attempt.reply)
    assert held.replies() == [attempt.reply]
    held.hold(attempt)
    assert held.replies() == [attempt.reply]
    held.release([attempt])
    assert held.replies() == []


def test_a_delivery_that_is_declined_is_held_no_longer() -> None:
    """It leaves as it came."""
    held = HeldWork()
    held.arrive("reply")
    held.leave("reply")
    assert held.replies() == []


def test_attempts_are_found_by_their_task() -> None:
    """All dispatches of it that are held, and none that was released."""
    held, first, other = HeldWork(), new_attempt(1), new_attempt(2)
    second = new_attempt(1)
    second.key = first.key._replace(dispatch=2)
    for attempt in (first, second, other):
        held.hold(attempt)
    assert held.of_task(first.key.task_id) == [first, second]
    held.release([first])
    assert held.of_task(first.key.task_id) == [second]
    held.release([first, second])
    assert held.of_task(first.key.task_id) == []
    assert held.of_task(other.key.task_id) == [other]


def test_an_attempt_is_overdue_until_its_end_is_reported() -> None:
    """One without a limit never is."""
    held, limited, unlimited = HeldWork(), new_attempt(1), new_attempt(2)
    limited.times_out_at = 10.0
    held.hold(limited)
    held.hold(unlimited)
    assert not held.is_overdue(9.0)
    assert held.is_overdue(11.0)
    limited.is_ended = True
    assert not held.is_overdue(11.0)


def test_only_started_attempts_have_a_lease() -> None:
    """The store is told of attempts whose handler was called."""
    held, waiting, started = HeldWork(), new_attempt(1), new_attempt(2)
    started.started_at = datetime.now(UTC)
    held.hold(waiting)
    held.hold(started)
    assert held.started_fences() == [started.fence]


def test_a_redelivery_is_adopted() -> None:
    """The next delivery of what is held goes on as the first, to be acknowledged by the newest reply."""
    held, attempt, newer = HeldWork(), new_attempt(delivery=1), new_attempt(delivery=2)
    held.hold(attempt)
    held.arrive(newer.reply)
    assert held.adopt(newer) is attempt
    assert held.replies() == [newer.reply]
    assert attempt.delivery == 1


def test_a_redelivery_after_one_elsewhere_raises_the_fence() -> None:
    """When a delivery in between went to somebody else, the attempt takes over the count of the newest."""
    held, attempt = HeldWork(), new_attempt(delivery=1)
    held.hold(attempt)
    held.adopt(new_attempt(delivery=2))
    held.adopt(new_attempt(delivery=4))
    assert attempt.fence.delivery == 4


def test_a_new_fence_begins_with_nothing_told() -> None:
    """The store counts lines and checkpoints anew, so what is said of them would never come."""
    held, attempt = HeldWork(), new_attempt(delivery=1)
    held.hold(attempt)
    attempt.checkpointed, attempt.lines = 2, UntoldLines()
    attempt.lines.add(map(new_line, "ab"))
    attempt.lines.take()
    attempt.lines.add(map(new_line, "cd"))
    held.adopt(new_attempt(delivery=2))
    assert (attempt.logged, attempt.checkpointed) == (2, 2)
    held.adopt(new_attempt(delivery=4))
    assert (attempt.logged, attempt.checkpointed) == (0, 0)
    assert (attempt.lines.take()["first_number"], attempt.logged) == (1, 2)


def test_what_is_not_held_is_not_adopted() -> None:
    """Another task, or another dispatch of the same, is new work."""
    held, attempt, next_dispatch = HeldWork(), new_attempt(1), new_attempt(1)
    next_dispatch.key = attempt.key._replace(dispatch=2)
    held.hold(attempt)
    assert held.adopt(new_attempt(2, delivery=2)) is None
    assert held.adopt(next_dispatch) is None
