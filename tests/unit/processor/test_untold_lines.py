"""Lines that wait are bounded: the oldest are dropped, and counted."""

from typing import Any

from taskmill.contracts.limits import MAX_LINE_CHARS, MAX_LINES_IN_A_REPORT, MAX_TASK_LINES
from taskmill.contracts.reports import Logged
from taskmill.processor.domain.messages import fits_bundle, report_text
from taskmill.processor.domain.untold_lines import MAX_UNTOLD_CHARS, UntoldLines
from tests.unit.processor.builders import new_attempt, new_line


def told(taken: dict[str, Any]) -> tuple[int, int, list[str]]:
    """What a report would say: its first line's number, how many were dropped, and the lines."""
    return taken["first_number"], taken["dropped"], [line.text for line in taken["lines"]]


def test_lines_are_numbered() -> None:
    """Over all reports of the execution."""
    lines = UntoldLines()
    lines.add(map(new_line, "ab"))
    assert told(lines.take()) == (1, 0, ["a", "b"])
    lines.add([new_line("c")])
    assert told(lines.take()) == (3, 0, ["c"])
    assert not lines


def test_the_oldest_are_dropped() -> None:
    """The next report says how many; its numbers go on behind them."""
    lines = UntoldLines(capacity=3)
    lines.add([new_line("a")])
    lines.take()
    lines.add(map(new_line, "bcdef"))
    assert told(lines.take()) == (4, 2, ["d", "e", "f"])
    lines.add([new_line("g")])
    assert told(lines.take()) == (7, 0, ["g"])


def test_long_lines_are_bounded_by_their_characters() -> None:
    """However long each is, they take a bounded room."""
    lines = UntoldLines()
    for _ in range(MAX_TASK_LINES):
        lines.add([new_line("x" * MAX_LINE_CHARS)])
    kept = 0
    dropped = 0
    while lines:
        taken = lines.take()
        kept += len(taken["lines"])
        dropped += taken["dropped"]
    assert kept == MAX_UNTOLD_CHARS // MAX_LINE_CHARS
    assert dropped == MAX_TASK_LINES - kept


def test_the_largest_report_fits_a_bundle() -> None:
    """Also if every character takes as much room as one can."""
    lines = UntoldLines()
    lines.add(new_line("\x01" * MAX_LINE_CHARS) for _ in range(MAX_LINES_IN_A_REPORT + 1))
    assert fits_bundle(0, report_text(new_attempt().report(Logged, **lines.take())))
