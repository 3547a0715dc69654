"""Tasks that come after others, and groups, which are settled by the same rule.

What comes after something, a *dependent*, has a row for each task that it still waits for: a *dependency*. A task
that is held by dependencies is a dependent, and so is a group: it comes after its own tasks. A dependency is decided by
the first ending of its task that the log has since it was made, so what happens to that task later, a deletion or
another run, changes nothing. The row goes when it is decided; a dependent goes on when its last one does, or ends at
the first that forbids it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple
from uuid import UUID

from taskmill.contracts.errors import FieldProblem, InvalidRequestError, TaskNotFoundError
from taskmill.contracts.groups import CreateGroup, GroupStatus
from taskmill.contracts.requests import IdentifiedTask
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import Cancellation, DependencyFailure
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.endings import cancelled
from taskmill.task_store.domain.groups import GroupState, new_group
from taskmill.task_store.domain.idempotency import ID_TAKEN
from taskmill.task_store.domain.runs import begin, to_scheduled
from taskmill.task_store.domain.state import DependencyState, Hold, TaskState

ENDED = (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED)


class DecidedDependency(NamedTuple):
    """A dependency whose task has ended."""

    dependency: DependencyState
    is_completed: bool


class Pair(NamedTuple):
    """By which a dependency is named."""

    dependent_id: UUID
    after_id: UUID


class Release(NamedTuple):
    """Let go on what waits for tasks that have ended."""

    pairs: tuple[Pair, ...]
    """The dependencies that may be decided."""
    task_ids: tuple[UUID, ...]
    """The tasks that may go on, or be cancelled, by that."""


class Standing(Enum):
    """How a new task stands to those that it comes after."""

    READY = "ready"
    WAITING = "waiting"
    FORBIDDEN = "forbidden"
    """One was not completed, and so it will not be processed."""


class Precedence(NamedTuple):
    """How a new task stands, and what it waits for."""

    standing: Standing
    dependencies: tuple[DependencyState, ...] = ()


READY = Precedence(Standing.READY)
FOLLOWS_GROUP = Precedence(Standing.WAITING)
"""Of a task that is processed for the outcome of a group: the group has the dependencies."""

_Take = Callable[[Decision], TaskState]


def precedence(task: IdentifiedTask, states: Mapping[UUID, TaskState]) -> Precedence:
    """How a new task stands to those that it comes after; one that does not exist counts as deleted.

    Args:
        task: What is wanted.
        states: The tasks as they are.
    """
    waits: list[DependencyState] = []
    is_forbidden = False
    for after_id in task.after or ():
        state = states.get(after_id)
        if state is not None and (state.is_run_active or state.status not in ENDED):
            row = DependencyState(task.id, after_id, state.version, task.on_dependency_failure, task.run_at)
            waits.append(row)
        elif state is None or state.status is not TaskStatus.COMPLETED:
            is_forbidden |= task.on_dependency_failure is DependencyFailure.CANCEL
    if is_forbidden:
        return Precedence(Standing.FORBIDDEN)
    return Precedence(Standing.WAITING, tuple(waits)) if waits else READY


def check_existence(tasks: Sequence[IdentifiedTask], states: Mapping[UUID, TaskState], prefix: str) -> None:
    """Refuse tasks of a client that come after what does not exist.

    Args:
        tasks: Those of a request.
        states: The tasks that exist.
        prefix: Where a task stands in the request, with its number as `{}`.

    Raises:
        InvalidRequestError: One of them does; the errors name each.
    """
    problems = [
        FieldProblem(
            pointer=f"{prefix.format(index)}/after/{number}",
            detail=TaskNotFoundError.detail,
            code=TaskNotFoundError.code,
        )
        for index, task in enumerate(tasks)
        for number, after_id in enumerate(task.after or ())
        if after_id not in states
    ]
    if problems:
        raise InvalidRequestError(errors=problems)


class DependencyBook:
    """The dependencies and the groups that a batch speaks of, and what it changes of them.

    Args:
        decided: Those of the dependencies that are to be released whose task has ended.
        counts: How many dependencies each of their dependents has.
        groups: The groups among these.
    """

    def __init__(
        self,
        decided: Iterable[DecidedDependency] = (),
        counts: Mapping[UUID, int] | None = None,
        groups: Iterable[GroupState] = (),
    ) -> None:
        self._decided = {Pair(row.dependency.dependent_id, row.dependency.after_id): row for row in decided}
        self._counts = dict(counts or {})
        self._groups = {group.id: group for group in groups}
        self.added: list[DependencyState] = []
        self.removed: list[Pair] = []
        self.ended: list[UUID] = []
        """Dependents that wait for nothing more: all their dependencies go."""
        self.added_groups: list[GroupState] = []
        self.settled_groups: list[GroupState] = []

    @property
    def has_changed(self) -> bool:
        """Whether there is something to write."""
        return bool(self.added or self.removed or self.ended or self.added_groups or self.settled_groups)

    def check_new(self, group_id: UUID) -> None:
        """Refuse the id of a group that exists.

        Raises:
            InvalidRequestError: There is one.
        """
        if group_id in self._groups or any(group_id == other.id for other in self.added_groups):
            raise InvalidRequestError(errors=[ID_TAKEN])

    def add_group(self, request: CreateGroup, now: datetime) -> GroupState:
        """Note a new group, which comes after its tasks."""
        group = new_group(request, now)
        self.added_groups.append(group)
        # It is new, and so is all that happens to its tasks.
        self.added += [DependencyState(group.id, task.id, 0, DependencyFailure.CANCEL, None) for task in request.tasks]
        return group

    def release(self, pairs: Iterable[Pair], states: Mapping[UUID, TaskState], take: _Take, now: datetime) -> None:
        """Decide dependencies, and let go on, or end, what they held.

        Args:
            pairs: Which. One whose task has not ended, or that is not there any more, changes nothing.
            states: The tasks as they are.
            take: Notes what is decided of a task.
            now: When it is decided.
        """
        by_dependent: dict[UUID, list[DecidedDependency]] = {}
        for pair in pairs:
            decided = self._decided.pop(pair, None)
            if decided is not None and pair.dependent_id in self._counts:
                by_dependent.setdefault(pair.dependent_id, []).append(decided)
        for dependent_id, rows in by_dependent.items():
            is_forbidden = any(not row.is_completed and row.dependency.on_failure == "cancel" for row in rows)
            left = self._counts[dependent_id] - len(rows)
            if left > 0 and not is_forbidden:
                self._counts[dependent_id] = left
                self.removed += [Pair(dependent_id, row.dependency.after_id) for row in rows]
                continue
            del self._counts[dependent_id]
            self.ended.append(dependent_id)
            group = self._groups.get(dependent_id)
            if group is not None:
                self._settle(group, states, take, now, is_failed=is_forbidden)
            else:
                _go_on(states.get(dependent_id), take, now, run_at=rows[0].dependency.run_at, is_forbidden=is_forbidden)

    def _settle(
        self, group: GroupState, states: Mapping[UUID, TaskState], take: _Take, now: datetime, *, is_failed: bool
    ) -> None:
        status = GroupStatus.FAILED if is_failed else GroupStatus.COMPLETED
        self.settled_groups.append(group._replace(status=status, settled_at=now))
        for task_id, is_other in ((group.on_completed_id, is_failed), (group.on_failed_id, not is_failed)):
            if task_id is not None:
                _go_on(states.get(task_id), take, now, is_forbidden=is_other)


def _go_on(
    state: TaskState | None, take: _Take, now: datetime, *, run_at: datetime | None = None, is_forbidden: bool
) -> None:
    """Offer a task that was held, or end it; one that is held no longer (cancelled, or deleted) is left alone."""
    if state is None or state.hold != Hold.DEPENDENCIES:
        return
    if is_forbidden:
        take(cancelled(state, Cancellation.DEPENDENCY, now, now))
    elif run_at is not None and run_at > now:
        scheduled, event = to_scheduled(state, run_at, "run_at", now, {"hold": None})
        take(Decision(scheduled, (event,)))
    else:
        take(begin(state, "due", now))
