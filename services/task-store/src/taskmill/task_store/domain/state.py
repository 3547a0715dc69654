"""A task as the rules see it."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from taskmill.contracts.status import Priority, TaskStatus
from taskmill.contracts.tasks import AttemptOutcome

JSON_NULL = "null"


class TaskState(NamedTuple):
    """A task's row: these fields, in this order, are the columns of `tasks`.

    A named tuple, because it is immutable, is made from a row as it comes, and goes into a statement as it is. Fields
    whose name is that of a field of `taskmill.contracts.tasks.Task` mean the same.
    """

    id: UUID
    title: str
    description: str | None
    kind: str
    queue: str
    priority: Priority
    labels: str
    """JSON text."""
    status: TaskStatus
    is_run_active: bool
    """Whether the task is queued, scheduled, or in progress within a run. Every report requires it."""
    version: int
    revision: int
    run: int
    attempt: int
    attempt_limit: int
    dispatch: int
    """Number of the newest work item. It rises over the whole life of the task, so that it is never ambiguous."""
    delivery: int
    """JetStream's delivery count of the execution that holds the attempt; 0: nobody has started this dispatch."""
    crashes: int
    """Deliveries of the newest attempt that started, never ended and were not given back."""
    max_attempts: int | None
    backoff: str | None
    """JSON text."""
    timeout_seconds: float | None
    run_at: datetime | None
    lease_until: datetime | None
    """Until when the processor holds the attempt, unless it says that it goes on."""
    processor_id: str | None
    cancel_requested_at: datetime | None
    progress: str | None
    """JSON text."""
    error: str | None
    """JSON text."""
    created_at: datetime
    updated_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    payload: str | None
    """JSON text. None: it was not read, and is left as it is."""
    result: str | None
    """JSON text. None: it was not read, and is left as it is."""


class AttemptState(NamedTuple):
    """An attempt's row: these fields, in this order, are the columns of `task_attempts`."""

    task_id: UUID
    attempt: int
    run: int
    processor_id: str | None
    delivery: int
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    outcome: AttemptOutcome | None
    error: str | None
    """JSON text."""
    traceback: str | None


_OUTCOMES = {
    TaskStatus.COMPLETED: AttemptOutcome.COMPLETED,
    TaskStatus.FAILED: AttemptOutcome.FAILED,
    TaskStatus.CANCELLED: AttemptOutcome.CANCELLED,
}


def newest_attempt(state: TaskState) -> AttemptState | None:
    """The attempt that a task's state speaks of; None while it waits to be queued for the first time.

    Only for a task that is in a run, or whose run has just ended.
    """
    if state.queued_at is None:
        return None
    outcome = _OUTCOMES.get(state.status)
    return AttemptState(
        task_id=state.id,
        attempt=state.attempt,
        run=state.run,
        processor_id=state.processor_id,
        delivery=state.delivery,
        queued_at=state.queued_at,
        started_at=state.started_at,
        finished_at=state.finished_at,
        outcome=outcome,
        # Until it ends, the task's error is that of the attempt before.
        error=state.error if outcome is AttemptOutcome.FAILED else None,
        traceback=None,
    )


def next_revision(state: TaskState, status: TaskStatus) -> int:
    """The revision is what clients compare: it moves with the status, not with every event."""
    return state.revision + (status is not state.status)
