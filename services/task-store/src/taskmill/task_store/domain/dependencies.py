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
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from taskmill.contracts.errors import FieldProblem, InvalidRequestError, TaskNotFoundError
from taskmill.contracts.groups import CreateGroup, GroupStatus
from taskmill.contracts.limits import MAX_REFUSAL_PROBLEMS
from taskmill.contracts.requests import IdentifiedTask
from taskmill.contracts.status import ENDED, TaskStatus
from taskmill.contracts.tasks import Cancellation, DependencyFailure
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.endings import cancelled
from taskmill.task_store.domain.groups import GroupState, new_group
from taskmill.task_store.domain.idempotency import ID_TAKEN
from taskmill.task_store.domain.runs import begin, to_scheduled
from taskmill.task_store.domain.state import DependencyState, Hold, TaskState
from taskmill.task_store.domain.turns import NO_LIMITS, LimitRules


class ReadDependency(NamedTuple):
    """A dependency as it stands."""

    state: DependencyState
    is_completed: bool | None
    """Whether its task was completed when it ended; None: it has not ended."""


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
        InvalidRequestError: One of them does; the errors name which, the first so many.
    """
    missing = (
        FieldProblem(
            pointer=f"{prefix.format(index)}/after/{number}",
            detail=TaskNotFoundError.detail,
            code=TaskNotFoundError.code,
        )
        for index, task in enumerate(tasks)
        for number, after_id in enumerate(task.after or ())
        if after_id not in states
    )
    # A batch may name 17,000: so many problems no reply can hold.
    problems = list(islice(missing, MAX_REFUSAL_PROBLEMS))
    if problems:
        raise InvalidRequestError(errors=problems)


class DependencyBook:
    """The dependencies and the groups that a batch speaks of, and what it changes of them.

    Args:
        known: The dependencies that are to be released.
        counts: How many dependencies each of their dependents has.
        groups: The groups among these.
    """

    def __init__(
        self,
        known: Iterable[ReadDependency] = (),
        counts: Mapping[UUID, int] = MappingProxyType({}),
        groups: Iterable[GroupState] = (),
    ) -> None:
        self._known = {Pair(read.state.dependent_id, read.state.after_id): read for read in known}
        self._counts = dict(counts)
        self._groups = {group.id: group for group in groups}
        self._cancelled: set[UUID] = set()
        self._limits = NO_LIMITS
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

    def release(
        self,
        pairs: Iterable[Pair],
        states: Mapping[UUID, TaskState],
        take: _Take,
        now: datetime,
        *,
        limits: LimitRules = NO_LIMITS,
    ) -> None:
        """Decide dependencies, and let go on, or end, what they held.

        Args:
            pairs: Which, those of what is cancelled before those of what comes after it. One whose task has not ended,
                or that is not there any more, changes nothing.
            states: The tasks as they are.
            take: Notes what is decided of a task.
            now: When it is decided.
            limits: They say what must wait for its turn then.
        """
        self._limits = limits
        for pair in pairs:
            known = self._known.get(pair)
            if known is None or pair.dependent_id not in self._counts:
                continue
            is_completed = False if pair.after_id in self._cancelled else known.is_completed
            if is_completed is None:
                continue
            del self._known[pair]
            is_forbidden = not is_completed and known.state.on_failure is DependencyFailure.CANCEL
            self._counts[pair.dependent_id] -= 1
            if is_forbidden or self._counts[pair.dependent_id] == 0:
                self._end(known.state, states, take, now, is_forbidden=is_forbidden)
            else:
                self.removed.append(pair)

    def _end(
        self, last: DependencyState, states: Mapping[UUID, TaskState], take: _Take, now: datetime, *, is_forbidden: bool
    ) -> None:
        """End the waiting of a dependent."""
        del self._counts[last.dependent_id]
        self.ended.append(last.dependent_id)
        group = self._groups.get(last.dependent_id)
        if group is not None:
            self._settle(group, states, take, now, is_failed=is_forbidden)
        elif self._go_on(states.get(last.dependent_id), take, now, run_at=last.run_at, is_forbidden=is_forbidden):
            self._cancelled.add(last.dependent_id)

    def _settle(
        self, group: GroupState, states: Mapping[UUID, TaskState], take: _Take, now: datetime, *, is_failed: bool
    ) -> None:
        status = GroupStatus.FAILED if is_failed else GroupStatus.COMPLETED
        self.settled_groups.append(group._replace(status=status, settled_at=now))
        for task_id, is_other in ((group.on_completed_id, is_failed), (group.on_failed_id, not is_failed)):
            if task_id is not None:
                self._go_on(states.get(task_id), take, now, is_forbidden=is_other)

    def _go_on(
        self, state: TaskState | None, take: _Take, now: datetime, *, run_at: datetime | None = None, is_forbidden: bool
    ) -> bool:
        """Offer a task that was held, or cancel it; return whether it was cancelled.

        One that is held no longer, because a client cancelled or deleted it, is left alone.
        """
        if state is None or state.hold != Hold.DEPENDENCIES:
            return False
        if is_forbidden:
            take(cancelled(state, Cancellation.DEPENDENCY, now, now))
            return True
        if run_at is not None and run_at > now:
            scheduled, event = to_scheduled(state._replace(hold=None), run_at, "run_at", now)
            take(Decision(scheduled, (event,)))
        else:
            take(begin(state, "due", now, limits=self._limits))
        return False
