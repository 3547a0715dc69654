"""What is told of queues and processors."""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from taskmill.contracts.fleet import Depth, ProcessorInfo, QueueInfo


class ProcessorState(NamedTuple):
    """A processor as it said hello last: see `Hello`."""

    id: str
    queues: Sequence[str]
    kinds: Sequence[str]
    slots: int
    running: int
    software_version: str
    started_at: datetime | None
    seen_at: datetime
    is_draining: bool


class QueueState(NamedTuple):
    """A queue as it stands."""

    name: str
    paused_at: datetime | None
    waiting: int
    """How many of its tasks are queued or scheduled."""
    queued_critical: int
    queued_high: int
    queued_medium: int
    queued_low: int
    in_progress: int
    finished: int
    """How many runs of its tasks have ended, ever."""
    oldest_queued_at: datetime | None


class Servers(NamedTuple):
    """Who serves a queue."""

    total: int
    first_ids: Sequence[str]


RATE_WINDOW = timedelta(minutes=1)
"""The time over which a rate is told."""


class FinishedRates:
    """How many runs end a second in each queue, from what the counters were before."""

    def __init__(self) -> None:
        self._samples: deque[tuple[datetime, Mapping[str, int]]] = deque()

    def note(self, now: datetime, finished: Mapping[str, int]) -> None:
        """Remember the counters; of those before, the newest that is as old as the window is the oldest kept."""
        self._samples.append((now, finished))
        while len(self._samples) > 1 and self._samples[1][0] <= now - RATE_WINDOW:
            self._samples.popleft()

    def rate(self, queue: str, now: datetime, finished: int) -> float | None:
        """Runs a second since the oldest sample; None: there is none.

        Args:
            queue: Which queue.
            now: The moment.
            finished: Its counter now.
        """
        if not self._samples or self._samples[0][0] >= now:
            return None
        then, before = self._samples[0]
        return max(0, finished - before.get(queue, 0)) / (now - then).total_seconds()


def processor_document(processor: ProcessorState) -> bytes:
    """A `ProcessorInfo`."""
    told = processor._asdict()
    return ProcessorInfo(last_seen_at=told.pop("seen_at"), **told).model_dump_json().encode()


def queue_document(queue: QueueState, servers: Servers, rate: float | None, now: datetime) -> bytes:
    """A `QueueInfo`."""
    depth = Depth(
        critical=_not_negative(queue.queued_critical),
        high=_not_negative(queue.queued_high),
        medium=_not_negative(queue.queued_medium),
        low=_not_negative(queue.queued_low),
    )
    oldest = queue.oldest_queued_at
    told = QueueInfo(
        name=queue.name,
        is_paused=queue.paused_at is not None,
        paused_at=queue.paused_at,
        depth=depth,
        scheduled=_not_negative(queue.waiting - (depth.critical + depth.high + depth.medium + depth.low)),
        oldest_age_seconds=None if oldest is None else round(max(0.0, (now - oldest).total_seconds()), 3),
        in_progress=_not_negative(queue.in_progress),
        finished_per_second=None if rate is None else round(rate, 3),
        processor_count=servers.total,
        processors=list(servers.first_ids),
    )
    return told.model_dump_json().encode()


def _not_negative(count: int) -> int:
    """A counter, which is off while stores of an earlier release write, until it is mended."""
    return max(0, count)
