"""A mailbox of writes of one store, with the real rules behind it."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from taskmill.contracts.errors import DatabaseUnavailableError, QueueFullError, RequestError, UnavailableError
from taskmill.contracts.reports import Heartbeat, Hello, ReportBundle, RunReport
from taskmill.contracts.requests import CancelTask, ProcessTask, UpdateTask
from taskmill.contracts.status import TaskStatus
from taskmill.task_store.adapters.task_writer import committed_events
from taskmill.task_store.domain.batch import Batch
from taskmill.task_store.domain.lifecycle import Cause
from taskmill.task_store.domain.operations import (
    Answer,
    ExpireCancellations,
    MakeDue,
    Operation,
    Redispatch,
    named_queues,
    named_tasks,
    new_tasks,
)
from taskmill.task_store.domain.publication import UnpublishedEvent
from taskmill.task_store.domain.reports import cause_of
from taskmill.task_store.errors import StaleStateError
from tests.simulation.database import Database
from tests.simulation.scheduler import Life, Steps
from tests.simulation.world import Taken, World

IDLE_SECONDS = 1_000.0

Reply = Answer | RequestError | UnavailableError

_CAUSES: dict[type, Cause] = {
    ProcessTask: Cause.PROCESS,
    CancelTask: Cause.CANCEL,
    UpdateTask: Cause.UPDATE,
    MakeDue: Cause.DUE,
    Redispatch: Cause.LOST,
    ExpireCancellations: Cause.EXPIRED,
}


class _Letter(NamedTuple):
    operation: Operation
    on_answer: Callable[[Reply], None]


class Writer:
    """Applies everything that waits as one batch, as one of the store's mailboxes and its `TaskWriter` do.

    Args:
        name: The store's, for the trace.
        world: The run.
        database: Where to.
        life: The store's.
        on_commit: Called after each commit that wrote events, with them.
        on_scheduled: Called with the time at which the first of the tasks is due that a commit scheduled.
    """

    def __init__(
        self,
        name: str,
        world: World,
        database: Database,
        life: Life,
        *,
        on_commit: Callable[[Sequence[UnpublishedEvent]], None],
        on_scheduled: Callable[[datetime], None],
    ) -> None:
        self._name = name
        self._world = world
        self._database = database
        self._on_commit = on_commit
        self._on_scheduled = on_scheduled
        self._letters: list[_Letter] = []
        self._known_queues: dict[str, int] = {}
        self._activity = world.scheduler.spawn(life, self._run())

    def offer(self, operation: Operation, on_answer: Callable[[Reply], None]) -> None:
        """Put an operation into the mailbox; it is answered once it is committed."""
        self._letters.append(_Letter(operation, on_answer))
        self._activity.wake()

    def ask(self, operation: Operation) -> Steps[None]:
        """Apply an operation, and wait for it.

        Raises:
            UnavailableError: It may not have been applied.
        """
        answers: list[Reply] = []
        self.offer(operation, answers.append)
        while not answers:
            yield 0.02
        if isinstance(answers[0], UnavailableError):
            raise answers[0]

    def _run(self) -> Steps[None]:
        while True:
            if not self._letters:
                yield IDLE_SECONDS
                continue
            letters, self._letters = self._letters, []
            try:
                answers = yield from self._apply([letter.operation for letter in letters])
            except DatabaseUnavailableError as error:
                answers = [error] * len(letters)
            for letter, answer in zip(letters, answers, strict=True):
                letter.on_answer(answer)

    def _apply(self, operations: Sequence[Operation]) -> Steps[Sequence[Reply]]:
        """Apply operations: at once, if nobody else writes what they are decided on, or else under the lock."""
        yield from self._database.round_trip()
        if all(self._known_queues.keys() >= set(named_queues(operation)) for operation in operations):
            batch = self._database.load(operations, self._known_queues, is_locked=False)
            answers = self._decide(batch, operations)
            yield from self._database.round_trip()
            if not batch.kinds.changed and not any(isinstance(answer, QueueFullError) for answer in answers):
                try:
                    first_position = self._database.write(batch)
                except StaleStateError:
                    self._world.signs["conflicts"] += 1
                else:
                    yield from self._committed(batch, first_position)
                    return answers
        yield from self._database.round_trip()
        self._known_queues.update(self._database.waiting)
        batch = self._database.load(operations, self._known_queues, is_locked=True)
        answers = self._decide(batch, operations)
        self._database.write_names(batch)
        first_position = self._database.write(batch)
        yield from self._committed(batch, first_position)
        return answers

    def _committed(self, batch: Batch, first_position: int) -> Steps[None]:
        events = committed_events(batch, first_position)
        for event in batch.tasks.events:
            self._world.note(self._name, "commits", str(event.task_id)[-4:], f"{event.version}:{event.type}")
        # Whoever dies, or loses the connection, here has written all the same.
        yield from self._database.round_trip()
        self._known_queues.update(self._database.waiting)
        if batch.tasks.events:
            self._on_commit(events)
        if batch.tasks.next_run_at is not None:
            self._on_scheduled(batch.tasks.next_run_at)

    def _decide(self, batch: Batch, operations: Sequence[Operation]) -> list[Reply]:
        answers: list[Reply] = []
        for operation in operations:
            answer: Reply = Answer()
            early: tuple[RunReport, ...] = ()
            for part in _parts(operation):
                try:
                    decided = self._decide_watched(batch, part)
                    early += decided.early
                    answer = decided._replace(early=early)
                except RequestError as refusal:
                    answer = refusal
            answers.append(answer)
        return answers

    def _decide_watched(self, batch: Batch, operation: Operation) -> Answer:
        """Let the rules decide, and note which ways tasks take through the lifecycle."""
        before = {task_id: batch.tasks._states.get(task_id) for task_id in named_tasks(operation)}
        answer = batch.decide(operation)
        for task_id, state in before.items():
            after = batch.tasks._states.get(task_id)
            if state is None or after is None:
                continue
            if after is not state:
                self._world.taken.add(Taken(_cause(operation), state.status, after.status))
            elif isinstance(operation, ReportBundle) and not isinstance(operation.reports[0], Heartbeat):
                self._world.signs["stale reports"] += 1
        for task in new_tasks(operation):
            created = batch.tasks._states.get(task.id)
            if created is not None and created.is_run_active:
                self._world.taken.add(Taken(Cause.PROCESS, TaskStatus.PENDING, created.status))
        return answer


def _parts(operation: Operation) -> Iterator[Operation]:
    """A bundle report by report, which decides the same; anything else whole."""
    if not isinstance(operation, ReportBundle):
        yield operation
        return
    for report in operation.reports:
        yield type(operation).model_construct(processor_id=operation.processor_id, reports=[report])


def _cause(operation: Operation) -> Cause:
    if not isinstance(operation, ReportBundle):
        return _CAUSES[type(operation)]
    report = operation.reports[0]
    assert not isinstance(report, Hello)
    return cause_of(report)
