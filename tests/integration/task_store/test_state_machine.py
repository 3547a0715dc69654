"""The store as a state machine: whatever clients, processors and time do, PostgreSQL holds what the lifecycle says."""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import orjson
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from taskmill.contracts import registry
from taskmill.contracts.errors import RequestError, TaskmillError, TaskNotFoundError
from taskmill.contracts.limits import MAX_TASK_LINES
from taskmill.contracts.reports import ReportBundle, Submitted
from taskmill.contracts.status import TaskStatus
from taskmill.task_store.actors.commands import use_case
from taskmill.task_store.adapters.activity_rows import ActivityRows
from taskmill.task_store.adapters.api_key_rows import ApiKeyRows
from taskmill.task_store.adapters.bulk_operation_rows import BulkOperationRows
from taskmill.task_store.adapters.database import DedicatedConnection, shared_connections
from taskmill.task_store.adapters.dependency_rows import DependencyRows
from taskmill.task_store.adapters.group_rows import GroupRows
from taskmill.task_store.adapters.log_reader import LogReader
from taskmill.task_store.adapters.processor_rows import ProcessorRows
from taskmill.task_store.adapters.queue_rows import QueueRows
from taskmill.task_store.adapters.relay_log import RelayLog
from taskmill.task_store.adapters.schedule_rows import ScheduleRows
from taskmill.task_store.adapters.store_memory import StoreMemory
from taskmill.task_store.adapters.task_lists import LIST_TIMEOUT_SECONDS, TaskLists, list_engine
from taskmill.task_store.adapters.task_reader import TaskReader
from taskmill.task_store.adapters.task_writer import TaskWriter
from taskmill.task_store.adapters.turn_rows import TurnRows
from taskmill.task_store.adapters.webhook_rows import WebhookRows
from taskmill.task_store.domain.fleet import FinishedRates
from taskmill.task_store.domain.operations import Answer, ExpireCancellations, MakeDue, Operation, Redispatch
from taskmill.task_store.domain.publication import UnpublishedEvent
from taskmill.task_store.domain.state import TaskState
from taskmill.task_store.use_cases import Ports
from tests.support.folded_task import FoldedTask
from tests.support.lifecycle_page import documented_rows
from tests.support.task_states import (
    NOW,
    cancelled,
    checkpointed,
    completed,
    failed,
    given_back,
    heartbeat,
    logged,
    progressed,
    started,
    submitted,
)
from tests.support.task_store import Document, lone_writer

T = TypeVar("T")

MAKERS = {
    "started": started,
    "heartbeat": heartbeat,
    "told": progressed,
    "lines": logged,
    "checkpoint": checkpointed,
    "submission": submitted,
    "completed": completed,
    "failed": failed,
    "cancelled": cancelled,
    "given_back": given_back,
}

GIVEN_BACK = ("given_back", "unknown_kind", "not_now")
"""The causes that are reports `given_back`; the latter two are the reason, too."""

TASKS = st.integers(0, 1)


class Clock:
    """The time that the stores of a test go by."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """Say it."""
        return self.now


class TurnTaking:
    """Writes through two stores that share a database, in turns: what one remembers, the other has changed.

    What a writer says of its commit must be what the relay would read; `said` counts how often that was compared.
    """

    def __init__(self, writers: list[TaskWriter], log: RelayLog, committed: list[Sequence[UnpublishedEvent]]) -> None:
        self.said = 0
        self._writers = writers
        self._log = log
        self._committed = committed
        self._turn = count()

    async def ask(self, message: Operation) -> Answer:
        """Apply an operation at once."""
        (answer,) = await self.ask_each([message])
        if isinstance(answer, TaskmillError):
            raise answer
        return answer

    async def ask_each(self, messages: Sequence[Operation]) -> Sequence[Answer | TaskmillError]:
        """Apply operations at once."""
        answers = await self._writers[next(self._turn) % len(self._writers)].apply(messages)
        while self._committed:
            if said := self._committed.pop():
                read = await self._log.unpublished(said[0].position - 1, limit=1_000, max_bytes=1_000_000)
                assert [_comparable(event) for event in said] == [_comparable(event) for event in read.events]
                self.said += 1
        return answers


def _comparable(event: UnpublishedEvent) -> UnpublishedEvent:
    """The same event, with the labels as values: `jsonb` does not keep their text."""
    work = event.work
    return event if work is None else event._replace(work=work._replace(labels=orjson.loads(work.labels)))


class NoPauses:
    """Nobody asks for one."""

    async def apply(self, queue: str) -> None:
        """See `Pauses`."""
        raise NotImplementedError(queue)


class NoDrains:
    """Nobody asks for one."""

    async def drain(self, processor_id: str) -> None:
        """See `Drains`."""
        raise NotImplementedError(processor_id)


class Bench(NamedTuple):
    """A store without a bus, and the loop that its connections belong to."""

    runner: asyncio.Runner
    ports: Ports
    clock: Clock

    def run(self, action: Coroutine[Any, Any, T]) -> T:
        """Let the store do something, and wait for it: hypothesis knows no coroutines."""
        return self.runner.run(action)


@pytest.fixture
def bench(database_url: str) -> Iterator[Bench]:
    """A store on a database of its own."""
    with asyncio.Runner() as runner:
        clock = Clock()
        lanes = [DedicatedConnection(database_url, f"lane {number}") for number in range(3)]
        committed: list[Sequence[UnpublishedEvent]] = []
        shared = runner.run(shared_connections(database_url, "reader", max_connections=1))
        engine = list_engine(database_url, "lists", timeout_seconds=LIST_TIMEOUT_SECONDS)
        writers = [
            lone_writer(lane, shared, now=clock, on_commit=committed.append, max_queues=4, max_queued_tasks=1_000)
            for lane in lanes[:2]
        ]
        reader = TaskReader(shared)
        writes = TurnTaking(writers, RelayLog(lanes[2], lanes[2]), committed)
        queues = QueueRows(shared, max_queues=4)
        ports = Ports(
            creations=writes,
            writes=writes,
            reads=reader,
            lists=TaskLists(engine),
            log=LogReader(shared),
            processors=ProcessorRows(shared),
            queues=queues,
            service=StoreMemory(shared, clock),
            pauses=NoPauses(),
            drains=NoDrains(),
            rates=FinishedRates(),
            bulk_operations=BulkOperationRows(shared),
            schedules=ScheduleRows(shared),
            webhooks=WebhookRows(shared, lanes[0], max_webhooks=1, max_replays=1),
            api_keys=ApiKeyRows(shared, max_keys=1),
            activity=ActivityRows(shared),
            turns=TurnRows(shared),
            groups=GroupRows(shared),
            predecessors=DependencyRows(shared),
            now=clock,
        )
        yield Bench(runner, ports, clock)
        assert writes.said
        assert runner.run(queues.recount()) == [], "counters differ from the tasks"
        for lane in lanes:
            runner.run(lane.close())
        runner.run(shared.close())
        runner.run(engine.dispose())


class Way(NamedTuple):
    """What the page says of a cause in a status."""

    delivery: str
    targets: list[str]


WAYS = {
    (by, source, in_run == "yes"): Way(delivery, to.split(", "))
    for sources, in_run, by, delivery, to in documented_rows()
    for source in sources.split(", ")
}


def way_of(state: TaskState, by: str) -> Way | None:
    """What the page has for a cause where a task stands; None: nothing happens."""
    return WAYS.get((by, state.status, state.is_run_active))


def is_admitted(state: TaskState, way: Way, fence: dict[str, int], processor: str) -> bool:
    """Whether a report counts, as the page's chapter on the fence puts it."""
    if (fence["attempt"], fence["dispatch"]) != (state.attempt, state.dispatch):
        return False
    is_same = fence["delivery"] == state.delivery and processor == state.processor_id
    if way.delivery == "same":
        return is_same
    return fence["delivery"] >= state.delivery and not (way.delivery == "newer" and is_same)


def target_of(state: TaskState, way: Way, by: str, *, delivery: int, is_final: bool) -> str:
    """Which of a report's targets it is, as the page's chapters on retries and cancellation put it."""
    is_to_be_cancelled = state.cancel_requested_at is not None
    is_crash = state.status == "in_progress" and delivery > state.delivery
    is_second = {
        "started": state.crashes + is_crash >= 3,
        "failed": is_final or is_to_be_cancelled or state.attempt >= state.attempt_limit,
        "cancelled": not is_to_be_cancelled,
        "given_back": is_to_be_cancelled,
        "unknown_kind": is_to_be_cancelled,
        "not_now": is_to_be_cancelled,
    }
    return way.targets[is_second.get(by, False)]


BEGINNINGS: dict[str, tuple[Document, list[tuple[str, Document]]]] = {
    "pending": ({}, []),
    "in progress by hand": ({}, [("set_status", {"status": TaskStatus.IN_PROGRESS})]),
    "scheduled": ({"run_at": NOW + timedelta(seconds=5)}, []),
    "queued": ({"process": True}, []),
    "in progress": ({"process": True}, [("start", {})]),
    "to be cancelled": ({"process": True}, [("start", {}), ("cancel", {})]),
    "completed": ({"process": True}, [("go_on", {"by": "completed", "is_final": False})]),
    "failed": ({"process": True}, [("go_on", {"by": "failed", "is_final": True})]),
    "cancelled": ({}, [("cancel", {})]),
}
"""Where tasks may stand when the machine sets in: how they are created, and the rules that are followed then."""

HANDED_OUT = ("queued", "in progress", "in progress", "to be cancelled")
"""Where most may happen, and so most begin."""


SAID = ("told", "lines", "checkpoint", "submission")
"""What a handler says: one cause, whatever it is."""


class StoreMachine(RuleBasedStateMachine):
    """Two tasks in one database, with everything that may happen to them."""

    def __init__(self, bench: Bench, taken: set[tuple[str, str]]) -> None:
        super().__init__()
        self.bench = bench
        self.taken = taken
        self.ids: list[UUID] = []
        self.states: list[TaskState | None] = []
        self.folded = [FoldedTask(), FoldedTask()]

    @initialize(
        beginnings=st.lists(st.sampled_from([*BEGINNINGS, *HANDED_OUT, *HANDED_OUT]), min_size=2, max_size=2),
        max_attempts=st.sampled_from([1, 2, 3]),
    )
    def create(self, beginnings: list[str], max_attempts: int) -> None:
        """A client creates them, and something has happened already."""
        self.bench.clock.now = NOW
        for number, beginning in enumerate(beginnings):
            task_id = UUID(int=next(IDS))
            creation, steps = BEGINNINGS[beginning]
            body = {"id": task_id, "title": "a", "max_attempts": max_attempts, "backoff": {"jitter": 0}}
            self.ask(registry.CREATE, **body, **creation)
            self.ids.append(task_id)
            self.states.append(None)
            self.look(number)
            for name, arguments in steps:
                getattr(self, name)(number=number, **arguments)

    def ask(self, command: registry.Command, **fields: Any) -> str | None:
        """Make a request; return the code of its refusal."""
        try:
            self.bench.run(use_case(command, self.bench.ports)(orjson.dumps(fields)))
        except RequestError as refusal:
            return refusal.code
        return None

    def tell(self, operation: Operation) -> None:
        """Let the store hear of something that is never refused."""
        self.bench.run(self.bench.ports.writes.ask(operation))

    def look(self, number: int) -> TaskState | None:
        """Read what has become of a task, and take its new events over."""
        reads, task_id, folded = self.bench.ports.reads, self.ids[number], self.folded[number]
        try:
            self.states[number] = self.bench.run(reads.task(task_id))
        except TaskNotFoundError:
            self.states[number] = None
        for document in self.bench.run(reads.events(task_id, after_version=folded.version, limit=10)).documents:
            folded.take(document)
        return self.states[number]

    def expect(self, number: int, before: TaskState | None, by: str, status: str | None) -> None:
        """A task has come to a status by a cause; None: it is as it was, to the last column."""
        after = self.look(number)
        if status is None or before is None:
            assert after == before
        else:
            assert after is not None
            assert after.status == status
            self.taken.add((by, before.status))

    @rule(number=TASKS)
    def process(self, number: int) -> None:
        """A client asks for a run."""
        before = self.states[number]
        refusal = self.ask(registry.PROCESS, id=self.ids[number])
        is_open = before is not None and way_of(before, "process") is not None
        assert refusal == (None if is_open else "task_not_found" if before is None else "run_active")
        self.expect(number, before, "process", "queued" if is_open else None)
        after = self.states[number]
        if is_open and before is not None and after is not None:
            assert (after.run, after.attempt, after.dispatch) == (
                before.run + 1,
                before.attempt + 1,
                before.dispatch + 1,
            )

    @rule(number=TASKS)
    def cancel(self, number: int) -> None:
        """A client wants a task not to be done."""
        before = self.states[number]
        refusal = self.ask(registry.CANCEL, id=self.ids[number])
        way = None if before is None else way_of(before, "cancel")
        assert refusal == (None if way else "task_not_found" if before is None else "already_finished")
        self.expect(number, before, "cancel", way.targets[0] if way else None)

    @rule(number=TASKS, status=st.sampled_from(list(TaskStatus)))
    def set_status(self, number: int, status: TaskStatus) -> None:
        """A client sets the status by hand."""
        before = self.states[number]
        refusal = self.ask(registry.UPDATE, id=self.ids[number], changes={"status": status})
        way = None if before is None else way_of(before, "update")
        if refusal is None:
            assert before is not None
            assert before.status is status or (way is not None and status in way.targets)
        else:
            assert before is None or way is None or status not in way.targets
        self.expect(number, before, "update", status if refusal is None else None)

    @rule(number=TASKS, title=st.sampled_from(["a", "b"]))
    def set_title(self, number: int, title: str) -> None:
        """A client edits what may be edited at any time."""
        before = self.states[number]
        refusal = self.ask(registry.UPDATE, id=self.ids[number], changes={"title": title})
        assert refusal == ("task_not_found" if before is None else None)
        self.expect(number, before, "edit", None if before is None or before.title == title else before.status)

    @rule(number=TASKS, force=st.sampled_from([False, False, False, True]))
    def delete(self, number: int, force: bool) -> None:
        """A client deletes a task, which needs that no run is active, or force."""
        before = self.states[number]
        refusal = self.ask(registry.DELETE, id=self.ids[number], force=force)
        after = self.look(number)
        if before is not None and before.is_run_active and not force:
            assert (refusal, after) == ("run_active", before)
        else:
            assert (refusal, after) == ("task_not_found" if before is None else None, None)

    @rule(
        number=TASKS,
        by=st.sampled_from([*MAKERS, *GIVEN_BACK[1:]]),
        beside=st.sampled_from([(0, 0, 0), (0, 0, 1), (0, 0, -1), (0, -1, 0), (0, 1, 0), (-1, 0, 0), (1, 0, 0)]),
        processor=st.sampled_from(["processor-1", "processor-2"]),
    )
    def report(self, number: int, by: str, beside: tuple[int, int, int], processor: str) -> None:
        """Some processor reports, under a fence that is the task's, or beside it."""
        before = self.states[number]
        if before is not None:
            attempt, dispatch, delivery = beside
            numbers = before.attempt + attempt, before.dispatch + dispatch, before.delivery + delivery
            self.hear(number, before, by, numbers, processor, is_final=False)

    @rule(number=TASKS)
    def start(self, number: int) -> None:
        """A processor gets the work, for the first time or again, and begins."""
        before = self.states[number]
        if before is not None:
            numbers = before.attempt, before.dispatch, before.delivery + 1
            self.hear(number, before, "started", numbers, "processor-1", is_final=False)

    @rule(
        number=TASKS,
        # Those that count only while somebody holds the attempt come more often, or they would hardly ever count.
        by=st.sampled_from([*SAID, "heartbeat", "told", "lines", "completed", "failed", "cancelled", *GIVEN_BACK]),
        is_final=st.booleans(),
    )
    def go_on(self, number: int, by: str, *, is_final: bool) -> None:
        """Whoever holds the attempt, or is about to, reports of it."""
        before = self.states[number]
        if before is not None:
            numbers = before.attempt, before.dispatch, before.delivery
            self.hear(number, before, by, numbers, before.processor_id or "processor-1", is_final=is_final)

    def hear(
        self, number: int, before: TaskState, by: str, fence: tuple[int, int, int], processor: str, *, is_final: bool
    ) -> None:
        """Take a report in, and a replay of it, and see whether it counts."""
        numbers = dict(zip(("attempt", "dispatch", "delivery"), (max(1, part) for part in fence), strict=True))
        options: dict[str, dict[str, Any]] = {
            **{reason: {"reason": reason} for reason in GIVEN_BACK[1:]},
            "failed": {"is_final": is_final},
            "checkpoint": {"number": before.checkpoint_number + 2, "checkpoint": ["ä", fence[2]]},
            "submission": {"number": before.submission_number + 1, "id": UUID(int=next(IDS)), "process": False},
            "lines": {"first_number": before.line_number + 4, "dropped": 3, "lines": 100},
        }
        made = MAKERS["given_back" if by in GIVEN_BACK else by](**numbers, **options.get(by, {}))
        report = made.model_copy(update={"task_id": self.ids[number]})
        self.tell(ReportBundle(processor_id=processor, reports=[report]))
        cause = "told" if by in SAID else by
        way = way_of(before, cause)
        target = None
        if way is not None and is_admitted(before, way, numbers, processor):
            target = target_of(before, way, by, delivery=numbers["delivery"], is_final=is_final)
        self.expect(number, before, cause, target)
        if by != "told":
            after = self.states[number]
            self.tell(ReportBundle(processor_id=processor, reports=[report]))
            self.expect(number, after, cause, None)
        if isinstance(report, Submitted):
            assert self.is_there(report.task.id) == (target is not None)

    def is_there(self, task_id: UUID) -> bool:
        """Whether a task exists, which has just been created then."""
        try:
            state = self.bench.run(self.bench.ports.reads.task(task_id))
        except TaskNotFoundError:
            return False
        assert (state.status, state.version) == ("pending", 1)
        return True

    @rule(seconds=st.sampled_from([30, 5, 1]))
    def wait(self, seconds: int) -> None:
        """Time passes, and the store looks for what is due, and for cancellations that nobody answered."""
        self.bench.clock.now += timedelta(seconds=seconds)
        now = self.bench.clock.now
        self.tell(MakeDue(tuple(self.ids)))
        self.tell(ExpireCancellations(tuple(self.ids)))
        for number, before in enumerate(list(self.states)):
            by, target = "due", None
            if before is not None and before.run_at is not None and before.run_at <= now:
                target = "queued"
            elif before is not None and before.cancel_requested_at is not None:
                by = "expired"
                target = "cancelled" if before.lease_until is not None and before.lease_until <= now else None
            self.expect(number, before, by, target)

    @rule(number=TASKS, dispatch=st.sampled_from([0, 0, 0, -1, 1]))
    def lose(self, number: int, dispatch: int) -> None:
        """A work item near the newest is nowhere."""
        before = self.states[number]
        self.tell(Redispatch({self.ids[number]: (0 if before is None else before.dispatch) + dispatch}))
        is_lost = (
            before is not None
            and way_of(before, "lost") is not None
            and dispatch == 0
            and before.cancel_requested_at is None
            and (before.lease_until is None or before.lease_until <= self.bench.clock.now)
        )
        self.expect(number, before, "lost", "queued" if is_lost else None)

    @invariant()
    def rows_are_the_fold_of_their_log(self) -> None:
        """Who knows only the events knows the task; their versions have no gap, which the folding checks."""
        for state, folded in zip(self.states, self.folded, strict=False):
            if state is None:
                continue
            assert folded.version == state.version
            for name in ("status", "revision", "run", "attempt", "title", "kind", "queue"):
                assert folded.fields[name] == getattr(state, name), name
            for name in ("dispatch", "delivery", "processor_id", "attempt_limit"):
                assert folded.fields.get(name, getattr(state, name)) == getattr(state, name), name
            for name in ("payload", "result", "progress", "error"):
                assert folded.fields.get(name) == orjson.loads(getattr(state, name) or "null"), name

    @invariant()
    def lines_are_the_newest_of_their_log(self) -> None:
        """What is kept of the lines is what the events tell, but for those that are too many."""
        for state, folded in zip(self.states, self.folded, strict=False):
            if state is None:
                continue
            kept, dropped = self.bench.run(self.bench.ports.reads.lines(state.id, after_position=0, limit=2_000))
            told = [(line["position"], line["text"]) for line in folded.lines]
            newest = [line for line in told if line[0] > state.line_count - MAX_TASK_LINES]
            assert [(line.position, line.text) for line in kept] == newest
            assert dropped == state.line_count - len(kept)


IDS = count(0x01A2_0000_0000_7000_8000_0000_0000_0001)
"""No two tasks of a database have the same id, whatever hypothesis tries again."""


@pytest.mark.timeout(300)
def test_postgresql_holds_what_the_lifecycle_says(bench: Bench) -> None:
    """Through two stores on one database: refused is unchanged, a row is the fold of its log, a replay is no news."""
    taken: set[tuple[str, str]] = set()
    run_state_machine_as_test(
        lambda: StoreMachine(bench, taken),  # type: ignore[arg-type]  # whatever makes one will do
        settings=settings(
            max_examples=200,
            stateful_step_count=16,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    # Turns are given by a store that leads: test_turns.py.
    never = {by for by, *_ in WAYS} - {by for by, _ in taken} - {"turn"}
    assert not never, f"the machine shows too little: {sorted(never)} never changed anything"
