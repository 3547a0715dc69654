"""A batch: operations meet states, one after another.

The states are read once. Each operation is decided in turn on what those before it left, so that several on one task
see each other; what comes out is written in one statement, which holds only if the states are still as they were read.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from taskmill.contracts.errors import TaskExistsError, TaskNotFoundError, TooManyQueuesError
from taskmill.contracts.reports import Hello, ReportBundle
from taskmill.contracts.requests import CreateTask, CreateTasks, DeleteTask, ProcessTask, UpdateTask
from taskmill.contracts.tasks import DEFAULT_QUEUE
from taskmill.task_store.domain.creation import decide_create
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.editing import check_revision, decide_delete, decide_update
from taskmill.task_store.domain.events import LoggedEvent
from taskmill.task_store.domain.queues import QueueBook
from taskmill.task_store.domain.runs import Hearing, RunRules, decide_due, decide_process, decide_report
from taskmill.task_store.domain.state import AttemptState, TaskState


class MakeDue(NamedTuple):
    """Queue those of these tasks whose time has come."""

    task_ids: tuple[UUID, ...]


Operation = CreateTask | CreateTasks | UpdateTask | DeleteTask | ProcessTask | ReportBundle | MakeDue

Answer = tuple[TaskState, ...]
"""The tasks that a request asked to change, as they are now, in its order. Empty for reports and due tasks."""


class Batch:
    """Decides operations, and collects what is to be written.

    Args:
        states: The tasks that `named_tasks` of the operations found, with payload and result where `wants_documents`.
        used_ids: Those of the ids of tasks to be created that exist, or existed and were deleted.
        queues: The queues that exist.
        rules: What the operator decides about runs.
        now: The moment of the whole batch.
    """

    def __init__(
        self,
        states: Iterable[TaskState],
        used_ids: Iterable[UUID],
        queues: QueueBook,
        rules: RunRules,
        now: datetime,
    ) -> None:
        self._loaded = {state.id: state for state in states}
        self._states = dict(self._loaded)
        self._used_ids = set(used_ids)
        self._rules = rules
        self._now = now
        self.queues = queues
        self.events: list[LoggedEvent] = []
        self._attempts: dict[tuple[UUID, int], AttemptState] = {}

    def decide(self, operation: Operation) -> Answer:
        """Apply one operation, or leave everything as it was.

        Raises:
            RequestError: The operation is refused.
        """
        if isinstance(operation, ReportBundle):
            return self._hear(operation)
        if isinstance(operation, CreateTask):
            return self._create((operation,))
        if isinstance(operation, CreateTasks):
            return self._create(operation.tasks)
        if isinstance(operation, MakeDue):
            return self._make_due(operation)
        return (self._change(operation),)

    @property
    def created(self) -> list[TaskState]:
        """Tasks to insert."""
        return [state for task_id, state in self._states.items() if task_id not in self._loaded]

    @property
    def changed(self) -> list[tuple[int, TaskState]]:
        """Tasks to update, each with the version that it was read with."""
        return [
            (before.version, after)
            for task_id, before in self._loaded.items()
            if (after := self._states.get(task_id)) is not None and after is not before
        ]

    @property
    def deleted(self) -> list[tuple[int, UUID]]:
        """Tasks to delete, each with the version that it was read with."""
        return [(before.version, task_id) for task_id, before in self._loaded.items() if task_id not in self._states]

    @property
    def attempts(self) -> list[AttemptState]:
        """Attempts to insert or update, of tasks that are there in the end."""
        return [attempt for attempt in self._attempts.values() if attempt.task_id in self._states]

    def _create(self, requests: Iterable[CreateTask]) -> Answer:
        new_ids: set[UUID] = set()
        for request in requests:
            if request.id in self._used_ids or request.id in new_ids:
                raise TaskExistsError(request.id)
            new_ids.add(request.id)
        self.queues.admit(request.queue for request in requests)
        self._used_ids |= new_ids
        return tuple(self._take(decide_create(request, self._now)) for request in requests)

    def _change(self, request: UpdateTask | DeleteTask | ProcessTask) -> TaskState:
        state = self._states.get(request.id)
        if state is None:
            raise TaskNotFoundError
        check_revision(state, request.expected_revision)
        if isinstance(request, ProcessTask):
            return self._take(decide_process(state, self._now))
        if isinstance(request, UpdateTask):
            decision = decide_update(state, request, self._now)
            if decision.state.queue != state.queue:
                self.queues.admit((decision.state.queue,))
            return self._take(decision)
        decision = decide_delete(state, self._now)
        self._take(decision)
        del self._states[request.id]
        return decision.state

    def _hear(self, bundle: ReportBundle) -> Answer:
        hearing = Hearing(bundle.processor_id, self._now, self._rules)
        for report in bundle.reports:
            if isinstance(report, Hello):
                self._admit_served(report)
            elif (state := self._states.get(report.task_id)) is not None:
                self._take(decide_report(state, report, hearing))
        return ()

    def _admit_served(self, hello: Hello) -> None:
        for queue in hello.queues:
            try:
                self.queues.admit((queue,))
            except TooManyQueuesError:
                # The processor serves those that there is room for; nobody can create a task in the others.
                return

    def _make_due(self, operation: MakeDue) -> Answer:
        for task_id in operation.task_ids:
            if (state := self._states.get(task_id)) is not None:
                self._take(decide_due(state, self._now))
        return ()

    def _take(self, decision: Decision) -> TaskState:
        self._states[decision.state.id] = decision.state
        self.events.extend(decision.events)
        if decision.attempt is not None:
            self._attempts[decision.attempt.task_id, decision.attempt.attempt] = decision.attempt
        return decision.state


def named_tasks(operation: Operation) -> list[UUID]:
    """The existing tasks that an operation speaks of."""
    if isinstance(operation, ReportBundle):
        return [report.task_id for report in operation.reports if not isinstance(report, Hello)]
    if isinstance(operation, MakeDue):
        return list(operation.task_ids)
    return [] if isinstance(operation, (CreateTask, CreateTasks)) else [operation.id]


def wants_documents(operation: Operation) -> bool:
    """Whether payload and result must be read: to be changed, or to be answered."""
    return isinstance(operation, (UpdateTask, ProcessTask))


def new_tasks(operation: Operation) -> list[CreateTask]:
    """The tasks that an operation creates."""
    if isinstance(operation, CreateTask):
        return [operation]
    return operation.tasks if isinstance(operation, CreateTasks) else []


def named_queues(operation: Operation) -> list[str]:
    """The queues that an operation may bring into being."""
    if isinstance(operation, ReportBundle):
        return [queue for report in operation.reports if isinstance(report, Hello) for queue in report.queues]
    if isinstance(operation, UpdateTask):
        if "queue" not in operation.changes:
            return []
        # One that is cleared becomes the default one; what is no name at all is refused later.
        queue = operation.changes["queue"] or DEFAULT_QUEUE
        return [queue] if isinstance(queue, str) else []
    return [task.queue for task in new_tasks(operation)]
