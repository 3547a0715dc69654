"""A batch: operations meet states, one after another.

The states are read once. Each operation is decided in turn on what those before it left, so that several on one task
see each other; what comes out is written in one statement, which holds only if the states are still as they were read.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from enum import Enum
from uuid import UUID

from taskmill.contracts.bulk_operations import StartBulkOperation
from taskmill.contracts.errors import (
    InvalidRequestError,
    TaskNotFoundError,
    TooManyQueuesError,
)
from taskmill.contracts.groups import CreateGroup
from taskmill.contracts.reports import Hello, ReportBundle, RunReport, Submitted
from taskmill.contracts.requests import (
    CreateTask,
    CreateTasks,
    DeleteTask,
    IdempotencyKey,
    KeyedRequest,
    ProcessTask,
    TaskRequest,
)
from taskmill.contracts.schedules import ScheduleChange
from taskmill.contracts.status import TaskStatus
from taskmill.task_store.domain.bulk_operations import BulkBook, BulkChunk
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.dependencies import (
    DependencyBook,
    Release,
)
from taskmill.task_store.domain.documents import is_of_existing, reply_document
from taskmill.task_store.domain.editing import check_revision, decide_change, decide_delete
from taskmill.task_store.domain.endings import cancel_at_once, decide_expiry
from taskmill.task_store.domain.idempotency import KeyBook, KeyedAnswer, KeyName, key_name
from taskmill.task_store.domain.kinds import KindBook
from taskmill.task_store.domain.log_epoch import FIRST_EPOCH, LogEpoch
from taskmill.task_store.domain.operations import (
    Answer,
    ClientRequest,
    ExpireCancellations,
    GiveTurns,
    KeyedReply,
    MakeDue,
    OfferAgain,
    Operation,
    OverdueBundle,
    Redispatch,
    RemoveExpired,
    StoreOperation,
    named_tasks,
)
from taskmill.task_store.domain.queues import QueueBook
from taskmill.task_store.domain.reports import Hearing, comes_early, decide_report, is_crash
from taskmill.task_store.domain.retention import has_expired
from taskmill.task_store.domain.runs import RunRules, decide_due, decide_lost, decide_offer, decide_process, decide_turn
from taskmill.task_store.domain.schedules import FireSchedule, MakeUpTimes, ScheduleBook
from taskmill.task_store.domain.state import TaskState
from taskmill.task_store.domain.task_maker import TaskMaker
from taskmill.task_store.domain.tasks import TaskBook
from taskmill.task_store.domain.turns import TurnBook
from taskmill.task_store.domain.unique_keys import UniqueBook
from taskmill.task_store.domain.waiting import ServedWork, waiting_for, with_service

_NOTHING: frozenset[UUID] = frozenset()


class Silence(Enum):
    """What becomes of an execution whose processor fell silent."""

    TAKEN_OVER = "taken_over"
    """Another delivery of its work item began."""
    DISPATCHED = "dispatched"
    """Its work item was nowhere: the attempt is dispatched again."""
    CANCELLED = "cancelled"
    """It was to be cancelled, and now is."""


class Batch:
    """Decides operations, and collects in its books what is to be written.

    Args:
        states: The tasks that `named_tasks` of the operations found, with payload and result where `wants_documents`.
        used_ids: Those of the ids of tasks to be created that exist, or existed and were deleted.
        queues: The queues.
        kinds: What is declared for kinds.
        keys: The idempotency keys of the operations.
        bulk_operations: The bulk operations that the operations carry on.
        schedules: The schedules that the operations speak of; None: they speak of none.
        dependencies: The dependencies that the operations release; None: none.
        services: What the living processors do.
        rules: What the operator decides about runs.
        now: The moment of the whole batch.
        random: Returns a number from 0 to 1, for the jitter of retries.
        paused: The queues that are paused.
        epoch: The epoch of the log that its events belong to.
        turns: The limits, and the turns that the operations give.
        unique: The unique keys that the operations name; None: they name none.
    """

    def __init__(
        self,
        states: Iterable[TaskState],
        used_ids: Iterable[UUID],
        *,
        queues: QueueBook,
        kinds: KindBook,
        keys: KeyBook,
        bulk_operations: BulkBook,
        schedules: ScheduleBook | None = None,
        services: Sequence[ServedWork],
        rules: RunRules,
        now: datetime,
        random: Callable[[], float],
        dependencies: DependencyBook | None = None,
        paused: Collection[str] = (),
        epoch: LogEpoch = FIRST_EPOCH,
        turns: TurnBook | None = None,
        unique: UniqueBook | None = None,
    ) -> None:
        self.services = list(services)
        """What the living processors do, also those that have just said so."""
        self.said: dict[str, ServedWork | None] = {}
        """What processors have just said that they do, by their id; None: they are draining."""
        self._rules = rules
        self._now = now
        self._random = random
        self._paused = paused
        self.queues = queues
        self.kinds = kinds
        self.keys = keys
        self.bulk_operations = bulk_operations
        self.turns = turns or TurnBook()
        self.schedules = schedules or ScheduleBook()
        self.unique = unique or UniqueBook()
        self.dependencies = dependencies or DependencyBook()
        self.tasks = TaskBook(
            states, queues=self.queues, unique=self.unique, dependencies=self.dependencies, epoch=epoch
        )
        self._maker = TaskMaker(
            self.tasks,
            used_ids,
            queues=self.queues,
            kinds=self.kinds,
            unique=self.unique,
            limits=self.turns.rules,
            dispatch_floor=epoch.dispatch_floor,
            now=now,
        )
        self.rejected: dict[str, int] = {}
        """How many reports of each type changed nothing."""
        self.silences: dict[Silence, int] = {}
        """How many executions were found whose processor fell silent."""
        self.replayed = 0
        """How many requests were answered as they were before."""

    def decide(self, operation: Operation) -> Answer:
        """Apply one operation, or leave everything as it was.

        Raises:
            RequestError: The operation is refused.
        """
        match operation:
            # The first, for it is what is asked for most, and to tell what a model is takes long, but of its own class.
            case CreateTask(idempotency=None):
                answer = self._create_one(operation)
            case ReportBundle():
                answer = Answer(early=self._hear(operation))
            case MakeDue() | OfferAgain() | Redispatch() | ExpireCancellations() | RemoveExpired() | Release():
                self._carry_on(operation)
                answer = Answer()
            case GiveTurns():
                answer = Answer(self._give(operation))
            case BulkChunk():
                book = self.bulk_operations
                answer = Answer(bulk_operation=book.carry_out(operation, self.tasks.states, self._change, self._now))
            case KeyedRequest(idempotency=IdempotencyKey() as key):
                answer = self._answer_once(operation, key_name(operation, key), key)
            case _:
                answer = self._serve(operation)
        return answer

    def _answer_once(self, request: ClientRequest, name: KeyName, key: IdempotencyKey) -> Answer:
        """Serve a request, unless it was served before: then it is answered as it was then, and does nothing."""
        stored = self.keys.find(name, key.fingerprint)
        if stored is not None:
            self.replayed += 1
            return Answer(keyed=KeyedReply(stored.answer, is_replayed=True, is_existing=stored.is_existing))
        if key.refusal is not None:
            raise InvalidRequestError(errors=key.refusal)
        answer = self._serve(request)
        document = reply_document(request, answer).decode()
        is_existing = is_of_existing(request, answer)
        self.keys.keep(KeyedAnswer(*name, key.fingerprint, document, self._now, is_existing))
        return answer._replace(keyed=KeyedReply(document, is_replayed=False, is_existing=is_existing))

    def _serve(self, request: ClientRequest | FireSchedule | MakeUpTimes) -> Answer:
        match request:
            case CreateTask():
                return self._create_one(request)
            case CreateTasks():
                placings = self._maker.make_all(request.tasks)
                existing = frozenset([placing.state.id for placing in placings if not placing.is_new])
                return self._answer_of(tuple([placing.state for placing in placings]), existing)
            case CreateGroup():
                self.dependencies.check_new(request.id)
                placings = self._maker.make_all(request.tasks, group=request)
                group = self.dependencies.add_group(request, self._now)
                return Answer(tuple([placing.state for placing in placings]), group=group)
            case StartBulkOperation():
                return Answer(bulk_operation=self.bulk_operations.start(request, self._now))
            case TaskRequest():
                return self._answer_of((self._change(request),))
            case ScheduleChange() | FireSchedule() | MakeUpTimes():
                return self._decide_schedule(request)

    def _answer_of(self, states: tuple[TaskState, ...], existing: frozenset[UUID] = _NOTHING) -> Answer:
        return Answer(states, waiting_for(states[0], self.services, self._paused), existing)

    def _create_one(self, request: CreateTask) -> Answer:
        placing = self._maker.make(request)
        state = placing.state
        return self._answer_of((state,), _NOTHING if placing.is_new else frozenset((state.id,)))

    def _decide_schedule(self, operation: ScheduleChange | FireSchedule | MakeUpTimes) -> Answer:
        outcome = self.schedules.decide(operation, self.tasks.states, self._maker.make_scheduled, self._now)
        answer = self._answer_of(outcome.tasks) if outcome.tasks else Answer()
        return answer._replace(schedule=outcome.schedule)

    def _change(self, request: TaskRequest) -> TaskState:
        state = self.tasks.states.get(request.id)
        if state is None:
            raise TaskNotFoundError
        check_revision(state, request.expected_revision)
        match request:
            case ProcessTask():
                defaults, limits = self.kinds.defaults(state.kind), self.turns.rules
                decision = decide_process(state, defaults, self._now, traceparent=request.traceparent, limits=limits)
                # It may have been forgotten since the task was last in a run.
                self.queues.admit((state.queue,), {state.queue: 1})
                return self.tasks.take(decision)
            case DeleteTask():
                return self._delete(state, force=request.force)
            case _:
                decision = decide_change(state, request, self._now)
                if decision.state.queue != state.queue:
                    self.queues.admit((decision.state.queue,))
                return self.tasks.take(decision)

    def _delete(self, state: TaskState, *, force: bool) -> TaskState:
        if force and state.is_run_active:
            state = self.tasks.take(cancel_at_once(state, self._now))
        return self.tasks.take_last(decide_delete(state, self._now))

    def _clear(self, operation: RemoveExpired | Release) -> None:
        if isinstance(operation, Release):
            tasks, limits = self.tasks, self.turns.rules
            self.dependencies.release(operation.pairs, tasks.states, tasks.take, self._now, limits=limits)
            return
        for task_id in operation.task_ids:
            state = self.tasks.states.get(task_id)
            if state is not None and has_expired(state, operation.kept_for, self._now):
                self.tasks.take_last(decide_delete(state, self._now, reason="retention"))

    def _give(self, operation: GiveTurns) -> tuple[TaskState, ...]:
        if not self.turns.opens(operation.term):
            return ()
        given = []
        for turn in operation.turns:
            state = self.tasks.states.get(turn.task_id)
            if state is None:
                continue
            after = self.tasks.take(decide_turn(state, turn.version, self._now))
            if after is not state:
                self.turns.note(turn, self._now)
                given.append(after)
        return tuple(given)

    def _hear(self, bundle: ReportBundle) -> tuple[RunReport, ...]:
        """Decide each report; return those that must come again."""
        early: tuple[RunReport, ...] = ()
        is_overdue = type(bundle) is OverdueBundle
        for report in bundle.reports:
            if isinstance(report, Hello):
                self._admit_served(report)
                self.kinds.declare(bundle.processor_id, report, self.services)
                self._note_service(bundle.processor_id, report)
            elif (state := self.tasks.states.get(report.task_id)) is None:
                self._reject(report)
            else:
                if comes_early(state, report, bundle.processor_id, is_overdue=is_overdue):
                    early += (report,)
                    continue
                defaults = self.kinds.defaults(state.kind)
                hearing = Hearing(bundle.processor_id, self._now, self._rules, defaults, self._random, self.services)
                decided = self.tasks.take(decide_report(state, report, hearing))
                if decided is state:
                    self._reject(report)
                elif is_crash(state, report):
                    self._note_silence(Silence.TAKEN_OVER)
                if isinstance(report, Submitted) and decided is not state:
                    self._maker.make_submitted(report.task, state)
        return early

    def _note_service(self, processor_id: str, hello: Hello) -> None:
        served = None if hello.is_draining else ServedWork.said_by(processor_id, hello)
        self.said[processor_id] = served
        self.services = with_service(self.services, processor_id, served)

    def _reject(self, report: RunReport) -> None:
        self.rejected[report.type] = self.rejected.get(report.type, 0) + 1

    def _note_silence(self, then: Silence) -> None:
        self.silences[then] = self.silences.get(then, 0) + 1

    def _admit_served(self, hello: Hello) -> None:
        for queue in hello.queues:
            try:
                self.queues.admit((queue,))
            except TooManyQueuesError:
                # The processor serves those that there is room for; nobody can create a task in the others.
                return

    def _carry_on(self, operation: StoreOperation | RemoveExpired | Release) -> None:
        if isinstance(operation, RemoveExpired | Release):
            self._clear(operation)
            return
        for task_id in named_tasks(operation):
            if (state := self.tasks.states.get(task_id)) is not None:
                decided = self.tasks.take(self._next_step(state, operation))
                if state.status is TaskStatus.IN_PROGRESS and decided is not state:
                    is_cancelled = decided.status is TaskStatus.CANCELLED
                    self._note_silence(Silence.CANCELLED if is_cancelled else Silence.DISPATCHED)

    def _next_step(self, state: TaskState, operation: StoreOperation) -> Decision:
        match operation:
            case MakeDue():
                return decide_due(state, self._now, limits=self.turns.rules)
            case OfferAgain():
                return decide_offer(state, self._now, limits=self.turns.rules)
            case Redispatch():
                return decide_lost(state, operation.lost[state.id], self._now)
            case ExpireCancellations():
                return decide_expiry(state, self._now)
