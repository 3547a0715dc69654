"""Which starts and which progress are due to be told."""

from taskmill.contracts.tasks import Progress
from taskmill.processor.domain.held_attempt import HeldAttempt

ANNOUNCE_AFTER_SECONDS = 0.02
"""A handler that returns sooner is told of in one report, its end; a slower one is announced with `started`."""

PROGRESS_INTERVAL_SECONDS = 1.0
"""Of each attempt, progress is told at most this often."""


class Announcements:
    """Attempts whose start has not been told, and attempts that have new progress.

    All times are seconds of one monotonic clock.
    """

    def __init__(self) -> None:
        self._begun_at: dict[HeldAttempt, float] = {}
        self._progressing: dict[HeldAttempt, None] = {}

    def __bool__(self) -> bool:
        return bool(self._begun_at or self._progressing)

    def expect_start(self, attempt: HeldAttempt, now: float) -> None:
        """An attempt has begun; its start is due a little later."""
        self._begun_at[attempt] = now

    def expect_progress(self, attempt: HeldAttempt) -> None:
        """An attempt has new progress; it is due once the last is old enough."""
        self._progressing[attempt] = None

    def forget(self, attempt: HeldAttempt) -> None:
        """An attempt has ended; nothing of it is due."""
        self._begun_at.pop(attempt, None)
        self._progressing.pop(attempt, None)

    def due_starts(self, now: float) -> list[HeldAttempt]:
        """Take out the attempts to be announced: those that are not so quick, and those that have progress to tell."""
        due = [
            attempt
            for attempt, begun_at in self._begun_at.items()
            if now - begun_at >= ANNOUNCE_AFTER_SECONDS or attempt in self._progressing
        ]
        for attempt in due:
            del self._begun_at[attempt]
        return due

    def due_progress(self, now: float) -> list[tuple[HeldAttempt, Progress]]:
        """Take out the progress to be told, after `due_starts`."""
        due = []
        for attempt in list(self._progressing):
            if now - attempt.told_progress_at < PROGRESS_INTERVAL_SECONDS:
                continue
            del self._progressing[attempt]
            # In this order: what a thread notes after the flag is down makes it expected again.
            attempt.is_progress_noted = False
            progress = attempt.progress
            if progress is not None and progress is not attempt.told_progress:
                attempt.told_progress = progress
                attempt.told_progress_at = now
                due.append((attempt, progress))
        return due
