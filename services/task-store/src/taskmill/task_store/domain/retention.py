"""How long tasks are kept after their end."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from taskmill.contracts.status import ENDED, TaskStatus
from taskmill.task_store.domain.state import TaskState

KeptFor = Mapping[TaskStatus, timedelta]
"""By the status of a task, how long it is kept; a status that is not there: for ever."""


def has_expired(state: TaskState, kept_for: KeptFor, now: datetime) -> bool:
    """Whether a task has ended, and was kept for long enough since."""
    if state.is_run_active or state.status not in ENDED or state.status not in kept_for:
        return False
    # A client may say that a task is completed that was in no run: then only its last change is known. And by the clock
    # of a processor that is slow, a task may have ended before it was created.
    ended_at = max(state.created_at, state.finished_at or state.updated_at)
    return ended_at <= now - kept_for[state.status]
