"""How many tasks may be removed at once."""

from collections.abc import Iterable

MAX_LINES_AT_ONCE = 1_000
"""Lines that leave with their tasks in one batch, for which other requests wait: some 10 ms. One task may have as
many."""


def removed_at_once(lines: Iterable[int]) -> int:
    """How many of the first tasks may leave in one batch: one, or as many as have few lines together.

    Args:
        lines: How many lines each of them has.
    """
    count = total = 0
    for task_lines in lines:
        total += task_lines
        if count and total > MAX_LINES_AT_ONCE:
            break
        count += 1
    return count
