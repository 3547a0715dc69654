"""The lifecycle of a task, as data. docs/task-lifecycle.md shows the same table, and a test holds them together."""

from dataclasses import dataclass
from enum import StrEnum

from taskmill.contracts.status import TaskStatus
from taskmill.task_store.domain.fence import FenceRule


class Cause(StrEnum):
    """What makes a task change its status, or keeps it where it is."""

    PROCESS = "process"
    UPDATE = "update"
    STARTED = "started"
    HEARTBEAT = "heartbeat"
    PROGRESSED = "progressed"
    COMPLETED = "completed"
    FAILED = "failed"
    GIVEN_BACK = "given_back"
    UNKNOWN_KIND = "unknown_kind"
    DUE = "due"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table: from any of `sources`, `by` a cause, to one of `targets`.

    `in_run` tells apart a task in progress within a run from one that a person has set in progress. Where there are
    several targets, the cause says which. `fence` is what the causing report must fulfil.
    """

    sources: tuple[TaskStatus, ...]
    in_run: bool
    by: Cause
    targets: tuple[TaskStatus, ...]
    fence: FenceRule | None = None


_PENDING, _SCHEDULED, _QUEUED = TaskStatus.PENDING, TaskStatus.SCHEDULED, TaskStatus.QUEUED
_IN_PROGRESS, _COMPLETED, _FAILED = TaskStatus.IN_PROGRESS, TaskStatus.COMPLETED, TaskStatus.FAILED

TRANSITIONS: tuple[Transition, ...] = (
    Transition((_PENDING, _IN_PROGRESS, _COMPLETED, _FAILED), False, Cause.PROCESS, (_QUEUED,)),
    Transition((_PENDING, _IN_PROGRESS, _COMPLETED), False, Cause.UPDATE, (_PENDING, _IN_PROGRESS, _COMPLETED)),
    Transition((_QUEUED, _IN_PROGRESS), True, Cause.STARTED, (_IN_PROGRESS,), FenceRule.NEWER),
    Transition((_IN_PROGRESS,), True, Cause.HEARTBEAT, (_IN_PROGRESS,), FenceRule.SAME),
    Transition((_IN_PROGRESS,), True, Cause.PROGRESSED, (_IN_PROGRESS,), FenceRule.SAME),
    Transition((_QUEUED, _IN_PROGRESS), True, Cause.COMPLETED, (_COMPLETED,), FenceRule.SAME_OR_NEWER),
    Transition((_QUEUED, _IN_PROGRESS), True, Cause.FAILED, (_FAILED,), FenceRule.SAME_OR_NEWER),
    Transition((_QUEUED, _IN_PROGRESS), True, Cause.GIVEN_BACK, (_QUEUED,), FenceRule.SAME_OR_NEWER),
    Transition((_QUEUED, _IN_PROGRESS), True, Cause.UNKNOWN_KIND, (_SCHEDULED,), FenceRule.SAME_OR_NEWER),
    Transition((_SCHEDULED,), True, Cause.DUE, (_QUEUED,)),
)

_BY_CAUSE: dict[tuple[Cause, TaskStatus, bool], Transition] = {
    (transition.by, source, transition.in_run): transition
    for transition in TRANSITIONS
    for source in transition.sources
}


def transition(status: TaskStatus, *, is_run_active: bool, by: Cause) -> Transition | None:
    """The way that a cause opens from a status; None: it changes nothing there."""
    return _BY_CAUSE.get((by, status, is_run_active))
