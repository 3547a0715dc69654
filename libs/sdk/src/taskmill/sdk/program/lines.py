"""What a program says on stderr, line by line."""

from dataclasses import dataclass
from typing import Literal, get_args

from taskmill.contracts.limits import MAX_BACKOFF_SECONDS

PREFIX = "taskmill: "

MAX_LINE_BYTES = 8 * 1024
"""What of a line is longer is skipped."""

Level = Literal["debug", "info", "warning", "error", "critical"]
_LEVELS: dict[str, Level] = {level: level for level in get_args(Level)}


@dataclass(frozen=True, slots=True)
class ProgressLine:
    """How far it is: `taskmill: progress 0.5 half way`."""

    fraction: float
    message: str | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """Something for people: `taskmill: log warning low on ink`, or any other line, whose level is `info`."""

    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class RetryAfterLine:
    """How long the next attempt is to wait, if this one asks for one: `taskmill: retry-after 30`."""

    seconds: float


def read_line(text: str) -> ProgressLine | LogLine | RetryAfterLine:
    """Read a line. One that begins like a command, and is none, is taken for what it is: a line."""
    command, _, rest = text.removeprefix(PREFIX).partition(" ") if text.startswith(PREFIX) else ("", "", "")
    word, _, words = rest.strip().partition(" ")
    number = _number(word)
    if command == "progress" and number is not None and number <= 1:
        return ProgressLine(number, words.strip() or None)
    if command == "retry-after" and number is not None and number <= MAX_BACKOFF_SECONDS and not words:
        return RetryAfterLine(number)
    if command == "log" and word in _LEVELS:
        return LogLine(_LEVELS[word], words.strip())
    return LogLine("info", text)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    # Neither what is negative nor NaN.
    return number if number >= 0 else None


class LineSplitter:
    """Makes lines of what comes in pieces, and never holds more of one than `MAX_LINE_BYTES`."""

    def __init__(self) -> None:
        self._begun = bytearray()

    def feed(self, piece: bytes) -> list[str]:
        """Take in a piece, and return the lines that end in it, but for empty ones."""
        *ended, begun = piece.split(b"\n")
        lines = []
        for end in ended:
            self._add(end)
            lines += self.end()
        self._add(begun)
        return lines

    def end(self) -> list[str]:
        """Return the line that was begun, if there is one."""
        text = self._begun.decode(errors="replace").rstrip()
        self._begun.clear()
        return [text] if text else []

    def _add(self, piece: bytes) -> None:
        self._begun += piece[: MAX_LINE_BYTES - len(self._begun)]
