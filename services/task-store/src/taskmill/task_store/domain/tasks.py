"""The tasks of a batch: as they were read, as its operations leave them, and what is to be written of that."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from taskmill.contracts.limits import MAX_TASK_LINES
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.dependencies import DependencyBook
from taskmill.task_store.domain.events import LoggedEvent, of_source
from taskmill.task_store.domain.log_epoch import FIRST_EPOCH, LogEpoch
from taskmill.task_store.domain.queues import QueueBook
from taskmill.task_store.domain.state import AttemptState, LineState, TaskState
from taskmill.task_store.domain.unique_keys import UniqueBook


class TaskBook:
    """The tasks that a batch speaks of, and what it changes of them.

    Whatever is decided of a task goes through `take`, which also tells the other books what it means for them.

    Args:
        states: The tasks that were read.
        queues: Told which tasks come to wait in them, and leave them.
        unique: Told which tasks hold their keys no longer.
        dependencies: Told what new tasks wait for.
        epoch: The epoch of the log that the events belong to.
    """

    def __init__(
        self,
        states: Iterable[TaskState],
        *,
        queues: QueueBook,
        unique: UniqueBook,
        dependencies: DependencyBook,
        epoch: LogEpoch = FIRST_EPOCH,
    ) -> None:
        self._loaded = {state.id: state for state in states}
        self._states = dict(self._loaded)
        self._queues = queues
        self._unique = unique
        self._dependencies = dependencies
        self._source = None if epoch == FIRST_EPOCH else epoch.source
        self._attempts: dict[tuple[UUID, int], AttemptState] = {}
        self._lines: dict[UUID, list[LineState]] = {}
        self.events: list[LoggedEvent] = []
        """In the order of the log."""
        self.next_run_at: datetime | None = None
        """When the first of the tasks that were scheduled is due."""

    def take(self, decision: Decision) -> TaskState:
        """Note what was decided of a task, and return the task as it is now."""
        state = decision.state
        before = self._states.get(state.id)
        if before is None or before.status is not state.status:
            self._queues.move(before, state)
        if state.run_at is not None and (self.next_run_at is None or state.run_at < self.next_run_at):
            self.next_run_at = state.run_at
        if state.unique_key is not None:
            self._unique.note(before, state)
        self._states[state.id] = state
        events = decision.events
        if self._source is not None:
            events = tuple([of_source(event, self._source) for event in events])
        self.events.extend(events)
        if decision.attempt is not None:
            self._attempts[decision.attempt.task_id, decision.attempt.attempt] = decision.attempt
        if decision.dependencies:
            self._dependencies.added += decision.dependencies
        if decision.lines:
            self._lines.setdefault(state.id, []).extend(decision.lines)
        return state

    def take_last(self, decision: Decision) -> TaskState:
        """Note the end of a task that is deleted with it, and return the task as it was last."""
        deleted = self.take(decision)
        self._unique.note(None, deleted, is_deleted=True)
        del self._states[deleted.id]
        return deleted

    @property
    def loaded(self) -> Mapping[UUID, TaskState]:
        """The tasks as they were read."""
        return self._loaded

    @property
    def states(self) -> Mapping[UUID, TaskState]:
        """The tasks as the operations leave them; those that they delete are not there."""
        return self._states

    @property
    def created(self) -> list[TaskState]:
        """Tasks to insert."""
        if not self._loaded:
            return list(self._states.values())
        return [state for task_id, state in self._states.items() if task_id not in self._loaded]

    @property
    def changed(self) -> list[tuple[TaskState, TaskState]]:
        """Tasks to update, as they were read and as they are now."""
        return [
            (before, after)
            for task_id, before in self._loaded.items()
            if (after := self._states.get(task_id)) is not None and after is not before
        ]

    @property
    def deleted(self) -> list[tuple[int, UUID]]:
        """Tasks to delete, each with the version that it was read with."""
        return [(before.version, task_id) for task_id, before in self._loaded.items() if task_id not in self._states]

    @property
    def attempts(self) -> list[AttemptState]:
        """Attempts that began or ended, of tasks that are there in the end."""
        return [attempt for attempt in self._attempts.values() if attempt.task_id in self._states]

    @property
    def lines(self) -> list[LineState]:
        """Lines to insert, of tasks that are there in the end: no more of each than are kept."""
        return [
            line
            for task_id, lines in self._lines.items()
            if (state := self._states.get(task_id)) is not None
            for line in lines
            if line.position > _dropped_up_to(state)
        ]

    @property
    def dropped_lines(self) -> list[tuple[UUID, int]]:
        """Tasks with new lines, each with the position up to which its lines are to be deleted, if there may be any."""
        return [
            (task_id, position)
            for task_id in self._lines
            if (state := self._states.get(task_id)) is not None and (position := _dropped_up_to(state)) > 0
        ]


def _dropped_up_to(state: TaskState) -> int:
    return state.line_count - MAX_TASK_LINES
