"""What a rule decides."""

from typing import NamedTuple

from taskmill.task_store.domain.events import LoggedEvent
from taskmill.task_store.domain.state import AttemptState, DependencyState, LineState, TaskState


class Decision(NamedTuple):
    """The task after an operation, and what has to be written down of it.

    A decision without events that leaves the state as it was says: nothing to do. That is how a replay ends.
    """

    state: TaskState
    events: tuple[LoggedEvent, ...] = ()
    attempt: AttemptState | None = None
    """One that has begun, or ended. One that is only queued is what the task's state says of it."""
    lines: tuple[LineState, ...] = ()
    """What is added to the task's lines."""
    dependencies: tuple[DependencyState, ...] = ()
    """What a new task waits for."""
