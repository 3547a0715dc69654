"""A batch: operations meet states, one after another.

The states are read once. Each operation is decided in turn on what those before it left, so that several on one task
see each other; what comes out is written in one statement, which holds only if the states are still as they were read.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from functools import partial
from uuid import UUID

from taskmill.contracts.bulk_operations import StartBulkOperation
from taskmill.contracts.errors import (
    InvalidRequestError,
    TaskExistsError,
    TaskNotFoundError,
    TooManyQueuesError,
    UniqueKeyHeldError,
)
from taskmill.contracts.groups import CreateGroup
from taskmill.contracts.limits import MAX_TASK_LINES
from taskmill.contracts.reports import Hello, ReportBundle, RunReport, Submitted
from taskmill.contracts.requests import (
    CancelTask,
    CreateTask,
    CreateTasks,
    DeleteTask,
    IdempotencyKey,
    IdentifiedTask,
    KeyedRequest,
    ProcessTask,
    TaskRequest,
)
from taskmill.contracts.schedules import ScheduleChange
from taskmill.contracts.status import TaskStatus
from taskmill.task_store.domain.bulk_operations import BulkBook, BulkChunk
from taskmill.task_store.domain.creation import Owners, decide_create
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.dependencies import (
    FOLLOWS_GROUP,
    READY,
    DependencyBook,
    Precedence,
    Release,
    check_existence,
    precedence,
)
from taskmill.task_store.domain.documents import is_of_existing, reply_document
from taskmill.task_store.domain.editing import check_revision, decide_change, decide_delete
from taskmill.task_store.domain.endings import cancel_at_once, decide_expiry
from taskmill.task_store.domain.events import LoggedEvent, of_source
from taskmill.task_store.domain.groups import follow_ups
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
from taskmill.task_store.domain.schedules import FireSchedule, MakeUpTimes, ScheduleBook, Wanted
from taskmill.task_store.domain.state import AttemptState, LineState, TaskState
from taskmill.task_store.domain.turns import TurnBook
from taskmill.task_store.domain.unique_keys import Placing, UniqueBook, arrivals
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
    """Decides operations, and collects what is to be written.

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
        self._loaded = {state.id: state for state in states}
        self._states = dict(self._loaded)
        self._used_ids = set(used_ids)
        self.services = list(services)
        """What the living processors do, also those that have just said so."""
        self.said: dict[str, ServedWork | None] = {}
        """What processors have just said that they do, by their id; None: they are draining."""
        self._rules = rules
        self._now = now
        self._random = random
        self._paused = paused
        self._source = None if epoch == FIRST_EPOCH else epoch.source
        self._dispatch_floor = epoch.dispatch_floor
        self.queues = queues
        self.kinds = kinds
        self.keys = keys
        self.bulk_operations = bulk_operations
        self.turns = turns or TurnBook()
        self.schedules = schedules or ScheduleBook()
        self.unique = unique or UniqueBook()
        self.dependencies = dependencies or DependencyBook()
        self.events: list[LoggedEvent] = []
        self._attempts: dict[tuple[UUID, int], AttemptState] = {}
        self._lines: dict[UUID, list[LineState]] = {}
        self.next_run_at: datetime | None = None
        """When the first of the tasks that this batch scheduled is due."""
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
                answer = Answer(bulk_operation=book.carry_out(operation, self._states, self._change, self._now))
            case KeyedRequest(idempotency=IdempotencyKey() as key):
                answer = self._answer_once(operation, key_name(operation, key), key)
            case _:
                answer = self._serve(operation)
        return answer

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
                states, existing = self._create(request.tasks)
                return self._answer_of(states)._replace(existing=existing)
            case CreateGroup():
                self.dependencies.check_new(request.id)
                states, _ = self._create(request.tasks, group=request)
                return Answer(states, group=self.dependencies.add_group(request, self._now))
            case StartBulkOperation():
                return Answer(bulk_operation=self.bulk_operations.start(request, self._now))
            case TaskRequest():
                return self._answer_of((self._change(request),))
            case ScheduleChange() | FireSchedule() | MakeUpTimes():
                return self._decide_schedule(request)

    def _answer_of(self, states: tuple[TaskState, ...]) -> Answer:
        return Answer(states, waiting_for(states[0], self.services, self._paused))

    def _create_one(self, request: CreateTask) -> Answer:
        if request.id in self._used_ids:
            raise TaskExistsError(request.id)
        if request.after:
            check_existence((request,), self._states, "")
        placing = self._place(request)
        self.queues.admit((placing.state.queue,), arrivals((placing,)))
        state = self._take_placing(placing)
        existing = _NOTHING if placing.is_new else frozenset((state.id,))
        return Answer((state,), waiting_for(state, self.services, self._paused), existing)

    def _create(
        self, requests: Sequence[IdentifiedTask], *, group: CreateGroup | None = None
    ) -> tuple[tuple[TaskState, ...], frozenset[UUID]]:
        """Make several tasks, all or none, and tell which of them existed.

        Args:
            requests: What is wanted.
            group: The group that they belong to.
        """
        held = [] if group is None else follow_ups(group)
        new_ids: set[UUID] = set()
        for request in (*requests, *held):
            if request.id in self._used_ids or request.id in new_ids:
                raise TaskExistsError(request.id)
            new_ids.add(request.id)
        if any(request.after for request in requests):
            check_existence(requests, self._states, "/tasks/{}")
        group_id = None if group is None else group.id
        create = partial(self._decide_create, group_id=group_id)
        placings = self.unique.place_all(requests, create, self._states, self._now)
        placings += [Placing((self._decide_create(request, FOLLOWS_GROUP),)) for request in held]
        self.queues.admit([placing.state.queue for placing in placings], arrivals(placings))
        states = tuple([self._take_placing(placing) for placing in placings])
        return states, frozenset([placing.state.id for placing in placings if not placing.is_new])

    def _place(self, request: IdentifiedTask) -> Placing:
        return self.unique.place(request, self._decide_create, self._states, self._now)

    def _decide_create(
        self,
        request: IdentifiedTask,
        comes_after: Precedence | None = None,
        *,
        schedule_id: UUID | None = None,
        group_id: UUID | None = None,
    ) -> Decision:
        if comes_after is None:
            comes_after = precedence(request, self._states) if request.after else READY
        return decide_create(
            request,
            self.kinds.defaults(request.kind),
            self._now,
            limits=self.turns.rules,
            precedence=comes_after,
            belongs_to=Owners(group_id, schedule_id),
            dispatch_floor=self._dispatch_floor,
        )

    def _take_placing(self, placing: Placing) -> TaskState:
        if placing.is_new:
            self._used_ids.add(placing.state.id)
            self.unique.hold(placing.hold)
        for decision in placing.decisions:
            self._take(decision)
        return placing.state

    def _decide_schedule(self, operation: ScheduleChange | FireSchedule | MakeUpTimes) -> Answer:
        outcome = self.schedules.decide(operation, self._states, self._make_scheduled, self._now)
        answer = self._answer_of(outcome.tasks) if outcome.tasks else Answer()
        return answer._replace(schedule=outcome.schedule)

    def _make_scheduled(self, wanted: Wanted) -> list[TaskState]:
        """Make the tasks of a schedule that do not exist, nor did."""
        new = [task for task in wanted.tasks if task.id not in self._used_ids and task.id not in self._states]
        decisions = [self._decide_create(task, schedule_id=wanted.schedule_id) for task in new]
        # They are made of one template, and so are of one queue.
        for state, *_ in decisions[:1]:
            self.queues.admit((state.queue,), {state.queue: len(decisions)} if wanted.is_asked else {})
        if decisions:
            for task_id in wanted.cancelled:
                self._change(CancelTask(id=task_id))
        self._used_ids.update(task.id for task in new)
        return [self._take(decision) for decision in decisions]

    def _change(self, request: TaskRequest) -> TaskState:
        state = self._states.get(request.id)
        if state is None:
            raise TaskNotFoundError
        check_revision(state, request.expected_revision)
        match request:
            case ProcessTask():
                defaults, limits = self.kinds.defaults(state.kind), self.turns.rules
                decision = decide_process(state, defaults, self._now, traceparent=request.traceparent, limits=limits)
                # It may have been forgotten since the task was last in a run.
                self.queues.admit((state.queue,), {state.queue: 1})
                return self._take(decision)
            case DeleteTask():
                return self._delete(state, force=request.force)
            case _:
                decision = decide_change(state, request, self._now)
                if decision.state.queue != state.queue:
                    self.queues.admit((decision.state.queue,))
                return self._take(decision)

    def _delete(self, state: TaskState, *, force: bool) -> TaskState:
        if force and state.is_run_active:
            state = self._take(cancel_at_once(state, self._now))
        return self._take_last(decide_delete(state, self._now))

    def _clear(self, operation: RemoveExpired | Release) -> None:
        if isinstance(operation, Release):
            self.dependencies.release(operation.pairs, self._states, self._take, self._now, limits=self.turns.rules)
            return
        for task_id in operation.task_ids:
            state = self._states.get(task_id)
            if state is not None and has_expired(state, operation.kept_for, self._now):
                self._take_last(decide_delete(state, self._now, reason="retention"))

    def _give(self, operation: GiveTurns) -> tuple[TaskState, ...]:
        if not self.turns.opens(operation.term):
            return ()
        given = []
        for turn in operation.turns:
            state = self._states.get(turn.task_id)
            if state is not None and (after := self._take(decide_turn(state, turn.version, self._now))) is not state:
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
            elif (state := self._states.get(report.task_id)) is None:
                self._reject(report)
            else:
                if comes_early(state, report, bundle.processor_id, is_overdue=is_overdue):
                    early += (report,)
                    continue
                defaults = self.kinds.defaults(state.kind)
                hearing = Hearing(bundle.processor_id, self._now, self._rules, defaults, self._random, self.services)
                decided = self._take(decide_report(state, report, hearing))
                if decided is state:
                    self._reject(report)
                elif is_crash(state, report):
                    self._note_silence(Silence.TAKEN_OVER)
                if isinstance(report, Submitted) and decided is not state:
                    self._submit(report.task, state)
        return early

    def _note_service(self, processor_id: str, hello: Hello) -> None:
        served = None
        if not hello.is_draining:
            served = ServedWork(frozenset(hello.queues), frozenset(hello.kinds), processor_id, hello.started_at)
        self.said[processor_id] = served
        self.services = with_service(self.services, processor_id, served)

    def _reject(self, report: RunReport) -> None:
        self.rejected[report.type] = self.rejected.get(report.type, 0) + 1

    def _note_silence(self, then: Silence) -> None:
        self.silences[then] = self.silences.get(then, 0) + 1

    def _submit(self, task: IdentifiedTask, by: TaskState) -> None:
        """Make the task that a handler wants, unless it exists, or did."""
        if task.id in self._used_ids or task.id in self._states:
            return
        task = task.model_copy(update={"traceparent": by.traceparent})
        try:
            placing = self._place(task)
            # Like all that the store does without being asked by a client, it has room in a queue that is full.
            self.queues.admit((placing.state.queue,))
        except UniqueKeyHeldError:
            # Nobody can be told: the task that holds the key stands for it.
            return
        except TooManyQueuesError:
            placing = self._place(task.model_copy(update={"queue": by.queue}))
        self._take_placing(placing)

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
            if (state := self._states.get(task_id)) is not None:
                decided = self._take(self._next_step(state, operation))
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

    def _take_last(self, decision: Decision) -> TaskState:
        deleted = self._take(decision)
        self.unique.note(None, deleted, is_deleted=True)
        del self._states[deleted.id]
        return deleted

    def _take(self, decision: Decision) -> TaskState:
        state = decision.state
        before = self._states.get(state.id)
        if before is None or before.status is not state.status:
            self.queues.move(before, state)
        if state.run_at is not None and (self.next_run_at is None or state.run_at < self.next_run_at):
            self.next_run_at = state.run_at
        if state.unique_key is not None:
            self.unique.note(before, state)
        self._states[state.id] = state
        events = decision.events
        if self._source is not None:
            events = tuple([of_source(event, self._source) for event in events])
        self.events.extend(events)
        if decision.attempt is not None:
            self._attempts[decision.attempt.task_id, decision.attempt.attempt] = decision.attempt
        if decision.dependencies:
            self.dependencies.added += decision.dependencies
        if decision.lines:
            self._lines.setdefault(state.id, []).extend(decision.lines)
        return state


def _dropped_up_to(state: TaskState) -> int:
    return state.line_count - MAX_TASK_LINES
