"""What programs say on stderr."""

import pytest

from taskmill.sdk.program.lines import (
    MAX_LINE_BYTES,
    LineSplitter,
    LogLine,
    ProgressLine,
    RetryAfterLine,
    read_line,
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("taskmill: progress 0.5 half  way", ProgressLine(0.5, "half  way")),
        ("taskmill: progress 1", ProgressLine(1, None)),
        ("taskmill: log warning low on ink", LogLine("warning", "low on ink")),
        ("taskmill: log debug ", LogLine("debug", "")),
        ("taskmill: retry-after 30", RetryAfterLine(30)),
    ],
)
def test_commands_are_understood(text: str, said: object) -> None:
    """Each form."""
    assert read_line(text) == said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "half way",
        "taskmill:",
        "taskmill: ",
        "taskmill: progress",
        "taskmill: progress much",
        "taskmill: progress 1.1",
        "taskmill: progress -1",
        "taskmill: progress nan",
        "taskmill: progress inf",
        "taskmill: log loud help",
        "taskmill: log",
        "taskmill: retry-after 1e9",
        "taskmill: retry-after 3 s",
        "taskmill: dance",
        " taskmill: progress 0.5",
    ],
)
def test_anything_else_is_a_line(text: str) -> None:
    """Also what begins like a command: nothing is lost."""
    assert read_line(text) == LogLine("info", text)


def test_lines_come_in_pieces() -> None:
    """Empty ones are left out, and so is the carriage return."""
    splitter = LineSplitter()
    assert splitter.feed(b"a\n\nb\r\nc") == ["a", "b"]
    assert splitter.feed(b"d") == []
    assert splitter.feed(b"\n\xff\xc3") == ["cd"]
    assert splitter.end() == ["\ufffd\ufffd"]
    assert splitter.end() == []


def test_a_line_without_end_is_cut() -> None:
    """What is over the limit is neither kept nor told; the next line is a new one."""
    splitter = LineSplitter()
    for _ in range(100):
        assert splitter.feed(b"x" * 1_000) == []
    assert splitter.feed(b"\ny\n") == ["x" * MAX_LINE_BYTES, "y"]
