"""How much of what a program says goes into the processor's own log."""

import time
from collections.abc import Callable

LOGGED_CHARS = 64 * 1024
LOGGED_IN_SECONDS = 60.0
"""A processor's log, unlike a task, keeps all that is written to it: a program may write so much in so long."""


class LogAllowance:
    """What the log takes of one execution: some characters in each period. What is left out is counted, and told.

    Args:
        tell_left_out: Called with how many lines of how many characters in sum were left out of the log, at the first
            line of a later period, or in the end.
        chars: How many characters are taken in a period.
        seconds: How long a period is.
        now: A clock in seconds.
    """

    def __init__(
        self,
        tell_left_out: Callable[[int, int], None],
        *,
        chars: int = LOGGED_CHARS,
        seconds: float = LOGGED_IN_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell_left_out = tell_left_out
        self._chars = chars
        self._seconds = seconds
        self._now = now
        self._ends_at = -float("inf")
        self._taken_chars = 0
        self._left_out_lines = 0
        self._left_out_chars = 0

    def takes(self, line: str) -> bool:
        """Whether a line is for the log, too. Once one is left out, so are all others of the period."""
        if self._now() >= self._ends_at:
            self.close()
            self._ends_at = self._now() + self._seconds
            self._taken_chars = 0
        self._taken_chars += len(line)
        if self._taken_chars <= self._chars:
            return True
        self._left_out_lines += 1
        self._left_out_chars += len(line)
        return False

    def close(self) -> None:
        """Tell what was left out, if anything was."""
        if self._left_out_lines:
            self._tell_left_out(self._left_out_lines, self._left_out_chars)
        self._left_out_lines = self._left_out_chars = 0
