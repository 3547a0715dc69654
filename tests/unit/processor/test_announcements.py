"""Starts, and what handlers say, are told neither too early nor too often."""

from taskmill.contracts.reports import Progressed
from taskmill.contracts.tasks import Progress
from taskmill.processor.domain.announcements import ANNOUNCE_AFTER_SECONDS, Announcements
from taskmill.processor.domain.held_attempt import HeldAttempt
from tests.unit.processor.builders import Noted, new_attempt


def progressed(attempt: HeldAttempt, fraction: float) -> Progressed:
    """A report of which only the newest is told."""
    return attempt.report(Progressed, progress=Progress(fraction=fraction))


def noted(attempt: HeldAttempt, text: str) -> Noted:
    """A report of which each one is told."""
    return attempt.report(Noted, text=text)


def test_a_start_is_due_a_little_later() -> None:
    """A quick handler is never announced; a slower one once."""
    announcements, quick, slow = Announcements(), new_attempt(1), new_attempt(2)
    announcements.expect_start(quick, 10.0)
    announcements.expect_start(slow, 10.0)
    assert announcements.due_starts(10.0 + ANNOUNCE_AFTER_SECONDS / 2) == []
    assert not announcements.end(quick)
    assert announcements.due_starts(10.1) == [slow]
    assert announcements.due_starts(10.2) == []
    assert not announcements


def test_what_a_handler_says_makes_the_start_due() -> None:
    """Nobody is told of progress before they are told of the start."""
    announcements, attempt = Announcements(), new_attempt()
    announcements.expect_start(attempt, 10.0)
    announcements.hear(attempt, progressed(attempt, 0.1))
    assert announcements.due_starts(10.0) == [attempt]
    assert announcements.due_reports(10.0) == [(attempt, progressed(attempt, 0.1))]


def test_progress_is_due_once_a_second() -> None:
    """In between, newer progress replaces older."""
    announcements, attempt = Announcements(), new_attempt()
    announcements.hear(attempt, progressed(attempt, 0.1))
    assert len(announcements.due_reports(10.0)) == 1
    for step in range(2, 10):
        announcements.hear(attempt, progressed(attempt, step / 10))
        assert announcements.due_reports(10.0 + step / 10) == []
    assert announcements.due_reports(11.0) == [(attempt, progressed(attempt, 0.9))]
    assert not announcements


def test_the_first_of_what_waits_is_noticed() -> None:
    """So that somebody looks for it, once."""
    announcements, attempt = Announcements(), new_attempt()
    assert announcements.hear(attempt, progressed(attempt, 0.1))
    assert not announcements.hear(attempt, progressed(attempt, 0.2))
    announcements.due_reports(10.0)
    assert announcements.hear(attempt, progressed(attempt, 0.3))


def test_where_each_one_counts_none_is_replaced() -> None:
    """They are due at once and in order, and hold up nothing."""
    announcements, attempt = Announcements(), new_attempt()
    said = [progressed(attempt, 0.1), noted(attempt, "a"), noted(attempt, "a"), noted(attempt, "b")]
    for report in said:
        announcements.hear(attempt, report)
    assert [report for _, report in announcements.due_reports(10.0)] == said
    for report in said:
        announcements.hear(attempt, report)
    assert [report for _, report in announcements.due_reports(10.1)] == said[1:]


def test_what_replaces_comes_behind_what_was_said_meanwhile() -> None:
    """It may speak of it."""
    announcements, attempt = Announcements(), new_attempt()
    for report in (progressed(attempt, 0.1), noted(attempt, "a"), progressed(attempt, 0.2)):
        announcements.hear(attempt, report)
    told = [report for _, report in announcements.due_reports(10.0)]
    assert told == [noted(attempt, "a"), progressed(attempt, 0.2)]


def test_an_end_leaves_only_what_outlasts_it() -> None:
    """Nothing is due of an attempt that has ended; progress is void, and the rest goes before the end."""
    announcements, attempt = Announcements(), new_attempt()
    announcements.expect_start(attempt, 10.0)
    announcements.hear(attempt, progressed(attempt, 0.1))
    announcements.hear(attempt, noted(attempt, "a"))
    assert announcements.end(attempt) == [noted(attempt, "a")]
    assert not announcements
