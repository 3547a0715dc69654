"""How many queues there may be, how many tasks may wait in each, and what is counted of them."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from taskmill.contracts.errors import QueueFullError, TooManyQueuesError
from taskmill.contracts.status import Priority, TaskStatus
from taskmill.task_store.domain.state import TaskState
from taskmill.task_store.domain.waiting import WAITING


class QueueChange(NamedTuple):
    """How a batch changes the number of tasks that wait in a queue."""

    name: str
    delta: int
    most_waiting: int | None
    """So many may have waited before the batch for all of its requests to have room; None: nothing asks for room."""
    queued_critical: int = 0
    queued_high: int = 0
    queued_medium: int = 0
    queued_low: int = 0
    in_progress: int = 0
    finished: int = 0
    """How many runs of its tasks have ended."""


COUNTERS = QueueChange._fields[3:]
"""What is counted beside how many wait: names of columns, too."""

_QUEUED = {priority: f"queued_{priority.value}" for priority in Priority}


class QueueBook:
    """The queues that exist, and what a batch changes of them.

    A queue costs four consumers on NATS, so there is a limit. So there is one on the tasks that wait in each, queued or
    scheduled; it holds for what clients ask for, while what the store does by itself always has room.

    Args:
        waiting: The queues that exist, and how many tasks wait in each, as far as is known.
        max_queues: How many queues may exist.
        max_waiting: How many tasks may wait in each.
    """

    def __init__(self, waiting: Mapping[str, int], max_queues: int, max_waiting: int) -> None:
        self._waiting = waiting
        self._max_queues = max_queues
        self._max_waiting = max_waiting
        self._deltas: dict[str, int] = {}
        self._peaks: dict[str, int] = {}
        self._counts: dict[str, dict[str, int]] = {}
        self.added: list[str] = []

    def admit(self, names: Iterable[str], arrivals: Mapping[str, int] = MappingProxyType({})) -> None:
        """Let queues exist, and tasks come to wait in them, all or none; a `move` follows for each task.

        Args:
            names: Queues that are to exist.
            arrivals: How many tasks that a client asks for come to wait in each queue.

        Raises:
            TooManyQueuesError: There would be more queues than the limit.
            QueueFullError: There would be more tasks than the limit in one of them.
        """
        missing = set(names).difference(self._waiting, self.added)
        if missing and len(self._waiting) + len(self.added) + len(missing) > self._max_queues:
            raise TooManyQueuesError(self._max_queues)
        peaks = {name: self._deltas.get(name, 0) + count for name, count in arrivals.items()}
        for name, peak in peaks.items():
            if self._waiting.get(name, 0) + peak > self._max_waiting:
                raise QueueFullError(name, self._max_waiting)
        self.added += sorted(missing)
        for name, peak in peaks.items():
            self._peaks[name] = max(peak, self._peaks.get(name, peak))

    def move(self, before: TaskState | None, after: TaskState) -> None:
        """Count a task whose status has changed: it may have come to wait, or not wait any more.

        Args:
            before: The task before; None: it is new. While it is queued, its queue and priority stay.
            after: The same after.
        """
        name = after.queue
        if name not in self._waiting and name not in self.added:
            # It was forgotten, and exists again.
            self.added.append(name)
        change = (after.status in WAITING) - (before is not None and before.status in WAITING)
        if change:
            self._deltas[name] = self._deltas.get(name, 0) + change
        counts = self._counts.get(name)
        if counts is None:
            counts = self._counts[name] = dict.fromkeys(COUNTERS, 0)
        if before is not None and (counter := _counter(before)) is not None:
            counts[counter] -= 1
        if (counter := _counter(after)) is not None:
            counts[counter] += 1
        if before is not None and before.is_run_active and not after.is_run_active:
            counts["finished"] += 1

    @property
    def changes(self) -> list[QueueChange]:
        """What is to be written, when those that are added exist."""
        found = [
            QueueChange(name, self._deltas.get(name, 0), self._most_waiting(name), **self._counts.get(name, {}))
            for name in {**self._deltas, **self._counts, **self._peaks}
        ]
        return [change for change in found if change.most_waiting is not None or change.delta or any(change[3:])]

    def _most_waiting(self, name: str) -> int | None:
        return self._max_waiting - self._peaks[name] if name in self._peaks else None


def _counter(state: TaskState) -> str | None:
    """What counts a task in this status; None: nothing does."""
    if state.status is TaskStatus.QUEUED:
        return _QUEUED[state.priority]
    # One that a client has set to `in_progress` by hand nobody executes.
    return "in_progress" if state.status is TaskStatus.IN_PROGRESS and state.is_run_active else None
