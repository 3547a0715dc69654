"""The lifecycle of a task, as data. docs/task-lifecycle.md shows the same table, and a test holds them together."""

from dataclasses import dataclass
from enum import StrEnum

from taskmill.contracts.status import TaskStatus
from taskmill.task_store.domain.fence import FenceRule


class Cause(StrEnum):
    """What makes a task change its status, or keeps it where it is."""

    PROCESS = "process"
    UPDATE = "update"
    CANCEL = "cancel"
    STARTED = "started"
    HEARTBEAT = "heartbeat"
    TOLD = "told"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    GIVEN_BACK = "given_back"
    UNKNOWN_KIND = "unknown_kind"
    NOT_NOW = "not_now"
    DUE = "due"
    TURN = "turn"
    LOST = "lost"
    EXPIRED = "expired"


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
_CANCELLED = TaskStatus.CANCELLED
_HANDED_OUT = (_QUEUED, _IN_PROGRESS)

TRANSITIONS: tuple[Transition, ...] = (
    Transition((_PENDING, _IN_PROGRESS, _COMPLETED, _FAILED, _CANCELLED), False, Cause.PROCESS, (_QUEUED, _SCHEDULED)),
    Transition((_PENDING, _IN_PROGRESS, _COMPLETED), False, Cause.UPDATE, (_PENDING, _IN_PROGRESS, _COMPLETED)),
    Transition((_PENDING,), False, Cause.CANCEL, (_CANCELLED,)),
    Transition((_SCHEDULED, _QUEUED), True, Cause.CANCEL, (_CANCELLED,)),
    Transition((_IN_PROGRESS,), True, Cause.CANCEL, (_IN_PROGRESS,)),
    Transition(_HANDED_OUT, True, Cause.STARTED, (_IN_PROGRESS, _FAILED), FenceRule.NEWER),
    Transition((_IN_PROGRESS,), True, Cause.HEARTBEAT, (_IN_PROGRESS,), FenceRule.SAME),
    Transition((_IN_PROGRESS,), True, Cause.TOLD, (_IN_PROGRESS,), FenceRule.SAME),
    Transition(_HANDED_OUT, True, Cause.COMPLETED, (_COMPLETED,), FenceRule.SAME_OR_NEWER),
    Transition(_HANDED_OUT, True, Cause.FAILED, (_SCHEDULED, _FAILED), FenceRule.SAME_OR_NEWER),
    Transition(_HANDED_OUT, True, Cause.CANCELLED, (_CANCELLED, _QUEUED), FenceRule.SAME_OR_NEWER),
    Transition(_HANDED_OUT, True, Cause.GIVEN_BACK, (_QUEUED, _CANCELLED), FenceRule.SAME_OR_NEWER),
    Transition(_HANDED_OUT, True, Cause.UNKNOWN_KIND, (_SCHEDULED, _CANCELLED), FenceRule.SAME_OR_NEWER),
    Transition(_HANDED_OUT, True, Cause.NOT_NOW, (_SCHEDULED, _CANCELLED), FenceRule.SAME_OR_NEWER),
    Transition((_SCHEDULED,), True, Cause.DUE, (_QUEUED, _SCHEDULED)),
    Transition((_SCHEDULED,), True, Cause.TURN, (_QUEUED,)),
    Transition(_HANDED_OUT, True, Cause.LOST, (_QUEUED,)),
    Transition((_IN_PROGRESS,), True, Cause.EXPIRED, (_CANCELLED,)),
)

_BY_CAUSE: dict[tuple[Cause, TaskStatus, bool], Transition] = {
    (transition.by, source, transition.in_run): transition
    for transition in TRANSITIONS
    for source in transition.sources
}


def transition(status: TaskStatus, *, is_run_active: bool, by: Cause) -> Transition | None:
    """The way that a cause opens from a status; None: it changes nothing there."""
    return _BY_CAUSE.get((by, status, is_run_active))
