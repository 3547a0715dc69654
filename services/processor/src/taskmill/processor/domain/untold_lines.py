"""The lines of a handler that have not been reported."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from taskmill.contracts.limits import MAX_LINES_IN_A_REPORT, MAX_TASK_LINES
from taskmill.contracts.tasks import Line

MAX_UNTOLD_CHARS = 256 * 1024
"""Of an execution that writes more than can be told, because it writes too fast or NATS is away, the newest lines wait:
as many as a task keeps, and so many characters at most."""


class UntoldLines:
    """The lines of one execution, bounded: the oldest are dropped, and counted.

    Args:
        capacity: How many lines may wait.
        max_chars: How many characters they may have in sum.
    """

    def __init__(self, *, capacity: int = MAX_TASK_LINES, max_chars: int = MAX_UNTOLD_CHARS) -> None:
        self._capacity = capacity
        self._max_chars = max_chars
        self._lines: deque[Line] = deque()
        self._chars = 0
        self._dropped = 0
        self._taken_number = 0

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, lines: Iterable[Line]) -> None:
        """Let lines wait, behind those that do."""
        for line in lines:
            self._lines.append(line)
            self._chars += len(line.text)
        while len(self._lines) > self._capacity or self._chars > self._max_chars:
            self._chars -= len(self._lines.popleft().text)
            self._dropped += 1

    @property
    def told_number(self) -> int:
        """The number of the last line that was taken out; 0: none was since they are numbered anew."""
        return self._taken_number

    def number_anew(self) -> None:
        """The next line is the first one of an execution."""
        self._taken_number = 0

    def take(self) -> dict[str, Any]:
        """Take out the oldest lines, as many as a report may have: what a `Logged` holds beside the fence."""
        taken: Sequence[Line] = [self._lines.popleft() for _ in range(min(len(self._lines), MAX_LINES_IN_A_REPORT))]
        self._chars -= sum(len(line.text) for line in taken)
        dropped, self._dropped = self._dropped, 0
        first_number = self._taken_number + dropped + 1
        self._taken_number = first_number + len(taken) - 1
        return {"first_number": first_number, "dropped": dropped, "lines": taken}
