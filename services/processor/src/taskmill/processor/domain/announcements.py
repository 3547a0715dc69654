"""Which starts are due to be told, and what handlers say."""

import math
from collections.abc import Sequence
from threading import Lock

from taskmill.contracts.reports import HandlerReport
from taskmill.processor.domain.held_attempt import HeldAttempt

ANNOUNCE_AFTER_SECONDS = 0.02
"""A handler that returns sooner is told of in one report, its end; a slower one is announced with `started`."""


def replacement_key(report: HandlerReport) -> object:
    """What a report has in common with those of its attempt that it takes the place of."""
    return object() if report.newest_every_seconds is None else type(report)


class Announcements:
    """Attempts whose start has not been told, and what their handlers have said that has not been told.

    `hear` may be called in any thread, all else in the event loop's. All times are seconds of one monotonic clock.
    """

    def __init__(self) -> None:
        self._begun_at: dict[HeldAttempt, float] = {}
        self._said: dict[HeldAttempt, dict[object, HandlerReport]] = {}
        self._lock = Lock()

    def __bool__(self) -> bool:
        return bool(self._begun_at or self._said)

    def expect_start(self, attempt: HeldAttempt, now: float) -> None:
        """An attempt has begun; its start is due a little later."""
        self._begun_at[attempt] = now

    def hear(self, attempt: HeldAttempt, report: HandlerReport) -> bool:
        """A handler says something; return whether nothing that it said was waiting."""
        key = replacement_key(report)
        with self._lock:
            said = self._said.setdefault(attempt, {})
            is_first = not said
            # Taken out before, so that it comes behind what was said meanwhile.
            said.pop(key, None)
            said[key] = report
        return is_first

    def end(self, attempt: HeldAttempt) -> Sequence[HandlerReport]:
        """An attempt has ended; return what is still to be told of it, before its end."""
        self._begun_at.pop(attempt, None)
        if attempt not in self._said:
            return ()
        with self._lock:
            return [report for report in self._said.pop(attempt).values() if not report.is_void_at_end]

    def due_starts(self, now: float) -> list[HeldAttempt]:
        """Take out the attempts to be announced: those that are not so quick, and those that have something to tell."""
        due = [
            attempt
            for attempt, begun_at in self._begun_at.items()
            if now - begun_at >= ANNOUNCE_AFTER_SECONDS or attempt in self._said
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
        return due
