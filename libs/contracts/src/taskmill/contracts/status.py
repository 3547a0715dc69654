"""The words that a task's state is told in."""

from enum import StrEnum


class TaskStatus(StrEnum):
    """Where a task stands. docs/task-lifecycle.md has the transitions."""

    PENDING = "pending"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED)
"""Where nothing more happens to a task by itself. No set: to hash an enumeration costs more than to compare it."""


class Priority(StrEnum):
    """Which tasks of a queue are served first. Weighted, so that `low` always moves."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
