"""Unique keys as a state machine: in whatever order things are asked, each key is held by a task that has not ended."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from taskmill.contracts.errors import RequestError, UniqueKeyHeldError
from taskmill.contracts.events import EventType
from taskmill.contracts.reports import ReportBundle, RunReport
from taskmill.contracts.requests import CancelTask, CreateTask, DeleteTask, ProcessTask
from taskmill.contracts.status import TaskStatus
from taskmill.task_store.domain.batch import Batch
from taskmill.task_store.domain.bulk_operations import BulkBook
from taskmill.task_store.domain.idempotency import KeyBook
from taskmill.task_store.domain.kinds import KindBook
from taskmill.task_store.domain.operations import MakeDue, Operation, named_unique_keys
from taskmill.task_store.domain.queues import QueueBook
from taskmill.task_store.domain.state import TaskState
from taskmill.task_store.domain.unique_keys import KeyHold, UniqueBook
from tests.support.task_states import NOW, RULES, completed, failed, no_jitter, started

KEYS = st.sampled_from("ab")
CHOICES = st.integers(min_value=0, max_value=7)
ENDS = {EventType.COMPLETED, EventType.FAILED, EventType.CANCELLED}
ENDED = {TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED}
UNIQUE = st.one_of(
    st.builds(
        lambda policy, held_for: {"on_conflict": policy, "held_for_seconds": held_for},
        st.sampled_from(["reject", "return_existing", "replace_waiting"]),
        st.sampled_from([None, None, 2.0]),
    ),
    st.just({"on_conflict": "debounce", "debounce_seconds": 2.0}),
)


class UniqueKeys(RuleBasedStateMachine):
    """Tasks of two keys, and the rows of the keys, which are written as PostgreSQL writes them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.tasks: dict[UUID, TaskState] = {}
        self.holds: dict[str, KeyHold] = {}
        self.waiting: list[Operation] = []
        self.made = 0
        self.until_their_end: set[UUID] = set()
        self.ended: set[UUID] = set()

    @rule(key=KEYS, unique=UNIQUE, process=st.booleans())
    def create(self, key: str, unique: dict[str, object], process: bool) -> None:
        """A client wants a task."""
        self.made += 1
        fields = {"id": UUID(int=self.made), "title": "t", "process": process, "max_attempts": 2}
        if unique["on_conflict"] != "debounce" and unique["held_for_seconds"] is None:
            self.until_their_end.add(UUID(int=self.made))
        self.waiting.append(CreateTask.model_validate({**fields, "unique": {"key": key, **unique}}))

    @rule(choice=CHOICES, make=st.sampled_from([started, completed, failed]))
    def report(self, choice: int, make: Callable[..., RunReport]) -> None:
        """A processor speaks of its newest dispatch."""
        if (task := self.chosen(choice)) is not None:
            told = make(attempt=task.attempt or 1, dispatch=task.dispatch or 1)
            told = told.model_copy(update={"task_id": task.id})
            self.waiting.append(ReportBundle(processor_id="processor-1", reports=[told]))

    @rule(choice=CHOICES, command=st.sampled_from([CancelTask, ProcessTask, DeleteTask, MakeDue]))
    def ask(self, choice: int, command: type) -> None:
        """A client asks for something else, or it is time."""
        if (task := self.chosen(choice)) is not None:
            self.waiting.append(MakeDue((task.id,)) if command is MakeDue else command(id=task.id))

    @rule(seconds=st.sampled_from([1, 3]))
    def pass_time(self, seconds: int) -> None:
        """Time passes."""
        self.now += timedelta(seconds=seconds)

    @rule()
    def expire(self) -> None:
        """What is held no longer is forgotten."""
        self.holds = {key: hold for key, hold in self.holds.items() if not self.is_over(hold)}

    @rule()
    def apply(self) -> None:
        """All that waits is decided as one batch, and written."""
        batch = self.load(self.waiting)
        for operation in self.waiting:
            self.decide(batch, operation)
        self.waiting = []
        self.write(batch)

    def teardown(self) -> None:
        """Decide what still waits."""
        self.apply()
        self.keys_are_held_by_tasks_that_have_not_ended()

    def load(self, operations: Iterable[Operation]) -> Batch:
        """What the writer reads: who holds the keys that are named, and no others."""
        named = {key for operation in operations for key in named_unique_keys(operation)}
        return Batch(
            self.tasks.values(),
            (),
            queues=QueueBook({"default": 0}, 3, 10_000),
            kinds=KindBook({}),
            keys=KeyBook(()),
            bulk_operations=BulkBook(()),
            services=(),
            rules=RULES,
            now=self.now,
            random=no_jitter,
            unique=UniqueBook(named, [hold for key, hold in self.holds.items() if key in named]),
        )

    def decide(self, batch: Batch, operation: Operation) -> None:
        """Each creation is answered with a task of its key that has not ended, or told one."""
        try:
            answer = batch.decide(operation)
        except UniqueKeyHeldError as refusal:
            assert isinstance(operation, CreateTask)
            assert operation.unique is not None
            holder = batch.tasks.states[refusal.task_id]
            assert (holder.unique_key, holder.status in ENDED) == (operation.unique.key, False)
        except RequestError:
            assert not isinstance(operation, CreateTask)
        else:
            if isinstance(operation, CreateTask) and operation.unique is not None:
                (state,) = answer.states
                assert (state.unique_key, state.status in ENDED) == (operation.unique.key, False)
                assert (state.id == operation.id) == (not answer.existing)

    def write(self, batch: Batch) -> None:
        """As the statement does; nothing here is stale, so every row must be as it was read."""
        self.tasks = dict(batch.tasks.states)
        self.ended |= {event.task_id for event in batch.tasks.events if event.type in ENDS}
        for release in batch.unique.removed:
            hold = self.holds.get(release.key)
            if hold is not None and hold.task_id == release.task_id and (release.is_ended or hold.is_debounced):
                del self.holds[release.key]
        for hold, holder in batch.unique.moved:
            assert self.holds[hold.key].task_id == holder
            self.holds[hold.key] = hold
        for hold in batch.unique.inserted:
            assert hold.key not in self.holds
            self.holds[hold.key] = hold

    def chosen(self, choice: int) -> TaskState | None:
        """One of the newest tasks; None: there are not so many."""
        newest = list(self.tasks.values())[::-1]
        return newest[choice] if choice < len(newest) else None

    def is_over(self, hold: KeyHold) -> bool:
        """Whether a key was to be held no longer."""
        return hold.expires_at is not None and hold.expires_at <= self.now

    @invariant()
    def keys_are_held_by_tasks_that_have_not_ended(self) -> None:
        """A key is never held by no task, by one that has ended, or by a debounced one that waits no more."""
        for key, hold in self.holds.items():
            task = self.tasks[hold.task_id]
            assert task.unique_key == key
            assert task.status not in ENDED
            assert not hold.is_debounced or (task.status is TaskStatus.SCHEDULED and task.run_at is not None)

    @invariant()
    def who_has_not_ended_holds_its_key(self) -> None:
        """So no two tasks of one key that hold it until their end are there at a time, but in later runs."""
        for task in self.tasks.values():
            if task.id in self.until_their_end and task.id not in self.ended:
                assert self.holds[task.unique_key or ""].task_id == task.id


TestUniqueKeys = UniqueKeys.TestCase
TestUniqueKeys.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
