"""What became of the tasks of a drill, counted."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from taskmill.contracts.events import EventType
from taskmill.contracts.status import ENDED, TaskStatus
from taskmill.contracts.tasks import TaskSummary

UNDISTURBED_EVENTS = 4
"""created, queued, started, completed: a task with more events was dispatched, or begun, again."""


@dataclass(frozen=True)
class Counts:
    """The tasks of a drill at one moment.

    Attributes:
        accepted: How many were accepted.
        by_status: How many of these there are in each status.
    """

    accepted: int
    by_status: Counter[TaskStatus]

    @property
    def ended(self) -> int:
        """How many are completed, failed or cancelled."""
        return sum(self.by_status[status] for status in ENDED)

    @property
    def unended(self) -> int:
        """How many were accepted and have not ended: at the end of a drill, the lost ones."""
        return self.accepted - self.ended

    @property
    def is_work_under_way(self) -> bool:
        """Whether some are in progress while others wait, or, when there are slots for all, all are in progress."""
        in_progress = self.by_status[TaskStatus.IN_PROGRESS]
        return in_progress > 0 and (self.by_status[TaskStatus.QUEUED] > 0 or in_progress == self.accepted)

    def __str__(self) -> str:
        parts = [
            f"{self.by_status[status]} {status.replace('_', ' ')}" for status in TaskStatus if self.by_status[status]
        ]
        missing = self.accepted - self.by_status.total()
        return ", ".join([*parts, *([f"{missing} MISSING"] if missing else [])]) or "no tasks"


def count(accepted: Collection[UUID], found: Iterable[TaskSummary]) -> Counts:
    """Count the tasks that were accepted, among those that were found, each once."""
    wanted = set(accepted)
    statuses = {task.id: task.status for task in found if task.id in wanted}
    return Counts(len(wanted), Counter(statuses.values()))


@dataclass(frozen=True)
class Repetition:
    """What was done again.

    Attributes:
        dispatched_again: How many tasks were queued more than once.
        ran_again: How many tasks' handlers were called more than once.
    """

    dispatched_again: int
    ran_again: int


def count_repetition(histories: Iterable[list[str]]) -> Repetition:
    """Count what was done again.

    Args:
        histories: The types of the events of each task.
    """
    queued, started = EventType.QUEUED.cloud_event_type, EventType.STARTED.cloud_event_type
    counted = [Counter(history) for history in histories]
    return Repetition(sum(types[queued] > 1 for types in counted), sum(types[started] > 1 for types in counted))
