"""Which starts are due to be told, and what handlers say."""

import math
from collections.abc import Sequence
from threading import Lock

from taskmill.contracts.reports import Checkpointed, HandlerReport, Logged, Submitted
from taskmill.processor.domain.held_attempt import HeldAttempt
from taskmill.processor.domain.untold_lines import UntoldLines

ANNOUNCE_AFTER_SECONDS = 0.02
"""A handler that returns sooner is told of in one report, its end; a slower one is announced with `started`."""

LINES_EVERY_SECONDS = 1.0
"""How often lines are told of each attempt, at most: they gather meanwhile."""


def replacement_key(report: HandlerReport) -> object:
    """What a report has in common with those of its attempt that it takes the place of."""
    return object() if report.newest_every_seconds is None else type(report)


def _numbered(attempt: HeldAttempt, report: HandlerReport) -> HandlerReport:
    """A report with the numbers by which the store knows it when it comes again, or out of turn, if it needs any."""
    if isinstance(report, Submitted):
        attempt.submitted += 1
        return report.model_copy(update={"number": attempt.submitted})
    if isinstance(report, Checkpointed):
        attempt.checkpoints += 1
        return report.model_copy(update={"number": attempt.checkpoints, "submitted": attempt.submitted})
    return report


class Announcements:
    """Attempts whose start has not been told, and what their handlers have said that has not been told.

    `hear` may be called in any thread, all else in the event loop's. All times are seconds of one monotonic clock.
    """

    def __init__(self) -> None:
        self._begun_at: dict[HeldAttempt, float] = {}
        self._said: dict[HeldAttempt, dict[object, HandlerReport]] = {}
        self._writing: dict[HeldAttempt, UntoldLines] = {}
        self._lock = Lock()

    def __bool__(self) -> bool:
        return bool(self._begun_at or self._said or self._writing)

    def expect_start(self, attempt: HeldAttempt, now: float) -> None:
        """An attempt has begun; its start is due a little later."""
        self._begun_at[attempt] = now

    def hear(self, attempt: HeldAttempt, report: HandlerReport) -> bool:
        """A handler says something; return whether nothing that it said was waiting."""
        if isinstance(report, Logged):
            return self._gather(attempt, report)
        key = replacement_key(report)
        with self._lock:
            if attempt.is_ended:
                # Behind `end` nothing is numbered any more.
                return False
            report = _numbered(attempt, report)
            said = self._said.setdefault(attempt, {})
            is_first = not said
            # Taken out before, so that it comes behind what was said meanwhile.
            said.pop(key, None)
            said[key] = report
        return is_first

    def _gather(self, attempt: HeldAttempt, report: Logged) -> bool:
        with self._lock:
            is_first = attempt not in self._writing
            if attempt.lines is None:
                attempt.lines = UntoldLines()
            attempt.lines.add(report.lines)
            self._writing[attempt] = attempt.lines
        return is_first

    def end(self, attempt: HeldAttempt) -> Sequence[HandlerReport]:
        """An attempt has ended; return what is still to be told of it, before its end."""
        self._begun_at.pop(attempt, None)
        # Also if nothing waits: a thread may be about to say something.
        with self._lock:
            said, lines = self._said.pop(attempt, None), self._writing.pop(attempt, None)
            if said is None and lines is None:
                return ()
            last_words = [report for report in (said or {}).values() if not report.is_void_at_end]
            while lines:
                last_words.append(attempt.report(Logged, **lines.take()))
        return last_words

    def due_starts(self, now: float) -> list[HeldAttempt]:
        """Take out the attempts to be announced: those that are not so quick, and those that have something to tell."""
        due = [
            attempt
            for attempt, begun_at in self._begun_at.items()
            if now - begun_at >= ANNOUNCE_AFTER_SECONDS or attempt in self._said or attempt in self._writing
        ]
        for attempt in due:
            del self._begun_at[attempt]
        return due

    def due_reports(self, now: float) -> list[tuple[HeldAttempt, HandlerReport]]:
        """Take out what is to be told, after `due_starts`."""
        due = []
        with self._lock:
            for attempt, said in list(self._said.items()):
                for key, report in list(said.items()):
                    told_at = attempt.told_at.get(type(report), -math.inf)
                    if now - told_at >= (report.newest_every_seconds or 0):
                        del said[key]
                        attempt.told_at[type(report)] = now
                        due.append((attempt, report))
                if not said:
                    del self._said[attempt]
            due += self._due_lines(now)
        return due

    def _due_lines(self, now: float) -> list[tuple[HeldAttempt, HandlerReport]]:
        """Of each attempt one report at a time, so that what cannot be sent is bounded by what may wait here."""
        due: list[tuple[HeldAttempt, HandlerReport]] = []
        for attempt, lines in list(self._writing.items()):
            told_at = attempt.told_at.get(Logged, -math.inf)
            is_due = now - told_at >= LINES_EVERY_SECONDS and not attempt.has_unstored_lines
            if is_due and not attempt.is_ended:
                attempt.told_at[Logged] = now
                attempt.has_unstored_lines = True
                due.append((attempt, attempt.report(Logged, **lines.take())))
            if attempt.is_ended or not lines:
                del self._writing[attempt]
        return due
