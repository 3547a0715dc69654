"""Starts and progress are told neither too early nor too often."""

from taskmill.contracts.tasks import Progress
from taskmill.processor.domain.announcements import ANNOUNCE_AFTER_SECONDS, Announcements
from taskmill.processor.domain.held_attempt import HeldAttempt
from tests.unit.processor.builders import new_attempt


def note(announcements: Announcements, attempt: HeldAttempt, fraction: float) -> None:
    """Let an attempt have new progress."""
    attempt.progress = Progress(fraction=fraction)
    attempt.is_progress_noted = True
    announcements.expect_progress(attempt)


def test_a_start_is_due_a_little_later() -> None:
    """A quick handler is never announced; a slower one once."""
    announcements, quick, slow = Announcements(), new_attempt(1), new_attempt(2)
    announcements.expect_start(quick, 10.0)
    announcements.expect_start(slow, 10.0)
    assert announcements.due_starts(10.0 + ANNOUNCE_AFTER_SECONDS / 2) == []
    announcements.forget(quick)
    assert announcements.due_starts(10.1) == [slow]
    assert announcements.due_starts(10.2) == []
    assert not announcements


def test_progress_makes_the_start_due() -> None:
    """Nobody is told of progress before they are told of the start."""
    announcements, attempt = Announcements(), new_attempt()
    announcements.expect_start(attempt, 10.0)
    note(announcements, attempt, 0.1)
    assert announcements.due_starts(10.0) == [attempt]
    assert announcements.due_progress(10.0) == [(attempt, Progress(fraction=0.1))]


def test_progress_is_due_once_a_second() -> None:
    """In between, newer progress replaces older."""
    announcements, attempt = Announcements(), new_attempt()
    note(announcements, attempt, 0.1)
    assert len(announcements.due_progress(10.0)) == 1
    for step in range(2, 10):
        note(announcements, attempt, step / 10)
        assert announcements.due_progress(10.0 + step / 10) == []
    assert announcements.due_progress(11.0) == [(attempt, Progress(fraction=0.9))]
    assert not announcements


def test_the_same_progress_is_told_once() -> None:
    """An attempt that is expected twice with one progress has one to tell."""
    announcements, attempt = Announcements(), new_attempt()
    note(announcements, attempt, 0.1)
    announcements.due_progress(10.0)
    announcements.expect_progress(attempt)
    assert announcements.due_progress(20.0) == []
    assert not attempt.is_progress_noted


def test_an_end_makes_everything_void() -> None:
    """Nothing is due of an attempt that has ended."""
    announcements, attempt = Announcements(), new_attempt()
    announcements.expect_start(attempt, 10.0)
    note(announcements, attempt, 0.1)
    announcements.forget(attempt)
    assert not announcements
