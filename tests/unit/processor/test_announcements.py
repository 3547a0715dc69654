"""Starts, and what handlers say, are told neither too early nor too often."""

from collections.abc import Sequence
from uuid import UUID

from taskmill.contracts.reports import Checkpointed, HandlerReport, Logged, Progressed, Submitted
from taskmill.contracts.requests import IdentifiedTask
from taskmill.contracts.tasks import Progress
from taskmill.processor.domain.announcements import ANNOUNCE_AFTER_SECONDS, LINES_EVERY_SECONDS, Announcements
from taskmill.processor.domain.held_attempt import HeldAttempt
from tests.unit.processor.builders import Noted, new_attempt, new_line


def progressed(attempt: HeldAttempt, fraction: float) -> Progressed:
    """A report of which only the newest is told."""
    return attempt.report(Progressed, progress=Progress(fraction=fraction))


def noted(attempt: HeldAttempt, text: str) -> Noted:
    """A report of which each one is told."""
    return attempt.report(Noted, text=text)


def wrote(attempt: HeldAttempt, *texts: str) -> Logged:
    """A report of lines, as a context makes it."""
    return attempt.report(Logged, lines=[new_line(text) for text in texts])


def texts(told: Sequence[tuple[HeldAttempt, HandlerReport]]) -> list[list[str]]:
    """What the lines of each of these reports say."""
    return [[line.text for line in report.lines] for _, report in told if isinstance(report, Logged)]


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


def test_the_last_checkpoint_is_told_before_the_end() -> None:
    """Once a second the newest, each with its number among all; and the last one, unlike progress, in any case."""
    announcements, attempt = Announcements(), new_attempt()
    for page in range(5):
        announcements.hear(attempt, attempt.report(Checkpointed, checkpoint=page))
    assert announcements.due_reports(10.0) == [(attempt, attempt.report(Checkpointed, number=5, checkpoint=4))]
    announcements.hear(attempt, attempt.report(Checkpointed, checkpoint=5))
    assert announcements.due_reports(10.5) == []
    assert announcements.end(attempt) == [attempt.report(Checkpointed, number=6, checkpoint=5)]


def test_submitted_tasks_are_numbered_and_each_is_told() -> None:
    """At once and in order, and what follows says how many there were; what comes behind the end is void."""
    announcements, attempt = Announcements(), new_attempt()
    tasks = [IdentifiedTask(id=UUID(int=number), title="A task") for number in (7, 8, 9)]
    announcements.hear(attempt, attempt.report(Submitted, task=tasks[0]))
    announcements.hear(attempt, attempt.report(Checkpointed, checkpoint=1))
    announcements.hear(attempt, attempt.report(Submitted, task=tasks[1]))
    first, checkpoint, second = (report for _, report in announcements.due_reports(10.0))
    assert first == attempt.report(Submitted, number=1, task=tasks[0])
    assert checkpoint == attempt.report(Checkpointed, checkpoint=1, submitted=1)
    assert second == attempt.report(Submitted, number=2, task=tasks[1])
    announcements.hear(attempt, attempt.report(Submitted, task=tasks[2]))
    attempt.is_ended = True
    assert announcements.end(attempt) == [attempt.report(Submitted, number=3, task=tasks[2])]
    announcements.hear(attempt, attempt.report(Submitted, task=tasks[2]))
    assert (attempt.submitted, bool(announcements)) == (3, False)


def test_lines_gather_and_are_due_once_a_second() -> None:
    """One report tells all that were written meanwhile, and says which of the execution's lines they are."""
    announcements, attempt = Announcements(), new_attempt()
    assert announcements.hear(attempt, wrote(attempt, "a"))
    assert not announcements.hear(attempt, wrote(attempt, "b"))
    assert texts(announcements.due_reports(10.0)) == [["a", "b"]]
    attempt.note_lines_stored()
    assert announcements.hear(attempt, wrote(attempt, "c"))
    announcements.hear(attempt, wrote(attempt, "d"))
    assert announcements.due_reports(10.0 + LINES_EVERY_SECONDS / 2) == []
    ((_, report),) = announcements.due_reports(10.0 + LINES_EVERY_SECONDS)
    assert report == attempt.report(Logged, first_number=3, lines=[new_line("c"), new_line("d")])
    assert not announcements


def test_lines_wait_while_others_are_on_their_way() -> None:
    """So that no more of them waits for NATS than one report, and what is bounded."""
    announcements, attempt = Announcements(), new_attempt()
    announcements.hear(attempt, wrote(attempt, "a"))
    assert texts(announcements.due_reports(10.0)) == [["a"]]
    announcements.hear(attempt, wrote(attempt, "b"))
    assert announcements.due_reports(100.0) == []
    assert announcements
    attempt.note_lines_stored()
    assert texts(announcements.due_reports(100.0)) == [["b"]]


def test_lines_make_the_start_due() -> None:
    """Nobody is told of lines before they are told of the start."""
    announcements, attempt = Announcements(), new_attempt()
    announcements.expect_start(attempt, 10.0)
    announcements.hear(attempt, wrote(attempt, "a"))
    assert announcements.due_starts(10.0) == [attempt]


def test_the_last_lines_are_told_before_the_end() -> None:
    """All that wait, whatever is on its way, in as many reports as they need."""
    announcements, attempt = Announcements(), new_attempt()
    announcements.hear(attempt, wrote(attempt, "first"))
    assert texts(announcements.due_reports(10.0)) == [["first"]]
    for number in range(150):
        announcements.hear(attempt, wrote(attempt, str(number)))
    last_words = texts([(attempt, report) for report in announcements.end(attempt)])
    assert [len(lines) for lines in last_words] == [100, 50]
    assert not announcements


def test_what_is_written_after_the_end_is_void() -> None:
    """A thread that goes on may write when its attempt has ended: that is forgotten."""
    announcements, attempt = Announcements(), new_attempt()
    attempt.is_ended = True
    announcements.hear(attempt, wrote(attempt, "late"))
    assert announcements.due_reports(10.0) == []
    assert not announcements
