"""What is done in a minute, as it is counted and written down."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple

from taskmill.contracts.activity import ActivityMinute, Spans
from taskmill.contracts.events import EventType
from taskmill.contracts.status import TaskStatus
from taskmill.task_store.domain.batch import Batch

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0)
"""Spans are counted by size: up to each of these seconds, and beyond the last."""

KEPT_MINUTES = 24 * 60

_type_of = attrgetter("type")


class Deeds(NamedTuple):
    """What was done: these fields, in this order, are columns of `activity`."""

    created: int
    completed: int
    failed: int
    cancelled: int
    waited: Sequence[int]
    """How many attempts waited how long in their queue, by `BOUNDS`."""
    ran: Sequence[int]
    """How many attempts took how long, by `BOUNDS`."""


class Tally:
    """Counts what batches did, until it is taken to be written down."""

    def __init__(self) -> None:
        self._counts: Counter[EventType] = Counter()
        self._waited = [0] * (len(BOUNDS) + 1)
        self._ran = [0] * (len(BOUNDS) + 1)

    def note(self, batch: Batch) -> None:
        """Count what a batch did that is committed."""
        self._counts.update(map(_type_of, batch.tasks.events))
        for attempt in batch.tasks.attempts:
            started_at = attempt.started_at
            if started_at is None:
                continue
            before = batch.tasks.loaded.get(attempt.task_id)
            if before is None or before.status is not TaskStatus.IN_PROGRESS or before.attempt != attempt.attempt:
                self._waited[bisect_left(BOUNDS, (started_at - attempt.queued_at).total_seconds())] += 1
            if attempt.finished_at is not None and attempt.outcome is not None:
                self._ran[bisect_left(BOUNDS, (attempt.finished_at - started_at).total_seconds())] += 1

    def take(self) -> Deeds | None:
        """What was counted since it was last taken; None: nothing."""
        told = (EventType.CREATED, EventType.COMPLETED, EventType.FAILED, EventType.CANCELLED)
        counts, waited, ran = self._counts, self._waited, self._ran
        Tally.__init__(self)
        if not any(event_type in counts for event_type in told) and not any(waited) and not any(ran):
            return None
        created, completed, failed, cancelled = (counts[event_type] for event_type in told)
        return Deeds(created, completed, failed, cancelled, waited, ran)


def activity_minute(at: datetime, deeds: Deeds, oldest_queued_seconds: float | None) -> ActivityMinute:
    """A minute as it is told."""
    return ActivityMinute(
        at=at,
        created=deeds.created,
        completed=deeds.completed,
        failed=deeds.failed,
        cancelled=deeds.cancelled,
        waited=_spans(deeds.waited),
        ran=_spans(deeds.ran),
        oldest_queued_seconds=oldest_queued_seconds,
    )


def _spans(counts: Sequence[int]) -> Spans:
    return Spans(p50_seconds=quantile(counts, 0.5), p95_seconds=quantile(counts, 0.95))


def quantile(counts: Sequence[int], share: float) -> float | None:
    """About how long that share of spans took at most; None: there are none.

    Within a size all lengths are taken to be equally frequent; what is beyond the last bound is told as that.
    """
    wanted = share * sum(counts)
    if not wanted:
        return None
    seen, lower = 0, 0.0
    for count, upper in zip(counts, (*BOUNDS, BOUNDS[-1]), strict=True):
        if count and seen + count >= wanted:
            return lower + (upper - lower) * (wanted - seen) / count
        seen, lower = seen + count, upper
    return BOUNDS[-1]
