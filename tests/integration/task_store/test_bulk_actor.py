import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import repeat
from typing import Any

import pytest

from taskmill.contracts.bulk_operations import BulkStatus, StartBulkOperation
from taskmill.contracts.errors import DatabaseUnavailableError, OverloadedError, RequestError, TaskmillError
from taskmill.contracts.requests import CreateTask, CreateTasks, ListTasks, TaskFilter, UpdateTask
from taskmill.runtime.clock import utc_now
from taskmill.runtime.leadership import Leadership
from taskmill.task_store.actors.bulk_operations import BulkOperations
from taskmill.task_store.adapters.bulk_operation_rows import BulkOperationRows
from taskmill.task_store.adapters.database import DedicatedConnection, shared_connections
from taskmill.task_store.adapters.expired_rows import ExpiredRows
from taskmill.task_store.adapters.task_lists import TaskLists, list_engine
from taskmill.task_store.adapters.task_writer import TaskWriter
from taskmill.task_store.domain.bulk_operations import BulkChunk, BulkOperationState
from taskmill.task_store.domain.filters import meets
from taskmill.task_store.domain.operations import Answer, Operation
from tests.support.actors import running
from tests.support.eventually import eventually
from tests.support.leases import LeaseOf
from tests.support.task_store import lone_writer, new_id, run_sql


@dataclass
class KeptWrites:
    """Applies operations at once, and keeps the chunks among them.

    Attributes:
        writer: Applies them.
        lost_answers: Raised, one after another, once a chunk is committed.
        refusals: Raised, one after another, before a chunk is applied.
        chunks: Those that were asked.
    """

    writer: TaskWriter
    lost_answers: list[TaskmillError] = field(default_factory=list)
    refusals: list[TaskmillError] = field(default_factory=list)
    chunks: list[BulkChunk] = field(default_factory=list)

    async def ask(self, message: Operation) -> Answer:
        """See `Writes`."""
        is_chunk = isinstance(message, BulkChunk)
        if isinstance(message, BulkChunk):
            self.chunks.append(message)
        if is_chunk and self.refusals:
            raise self.refusals.pop(0)
        (answer,) = await self.writer.apply([message])
        if is_chunk and self.lost_answers:
            raise self.lost_answers.pop(0)
        if isinstance(answer, RequestError):
            raise answer
        return answer


@dataclass
class Store:
    """The parts of a store that bulk operations need."""

    writes: KeptWrites
    rows: BulkOperationRows
    lists: TaskLists
    expired: ExpiredRows

    async def start(self, **fields: Any) -> BulkOperationState:
        """Begin a bulk operation."""
        request = StartBulkOperation.model_validate({"id": new_id(), **fields})
        begun = (await self.writes.ask(request)).bulk_operation
        assert begun is not None
        return begun

    async def carried_out(self, operation: BulkOperationState) -> BulkOperationState:
        """Have a leading actor of its own carry out what runs; return an operation once it is completed."""

        async def completed() -> BulkOperationState | None:
            found = await self.rows.bulk_operation(operation.id)
            return found if found.status is BulkStatus.COMPLETED else None

        async with leading(self):
            found = await eventually(completed, within_seconds=10)
        assert found is not None
        return found


@asynccontextmanager
async def leading(store: Store) -> AsyncIterator[None]:
    """Have an actor carry out what runs, in a store that leads."""
    leadership = Leadership("leadership", LeaseOf("me"), "me")
    actor = BulkOperations(store.rows, store.lists, store.writes, leadership, begun=asyncio.Event())
    async with running(leadership):
        await leadership.wait_until_leader()
        async with running(actor):
            yield


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """One without tasks."""
    async with opened(database_url) as store:
        yield store


@asynccontextmanager
async def opened(database_url: str) -> AsyncIterator[Store]:
    """Yield a store on a database."""
    lanes = [DedicatedConnection(database_url, name) for name in ("writer", "expiry")]
    shared = await shared_connections(database_url, "reader", max_connections=1)
    writer = lone_writer(lanes[0], shared)
    engine = list_engine(database_url, "bulk operations", timeout_seconds=5)
    try:
        yield Store(KeptWrites(writer), BulkOperationRows(shared), TaskLists(engine), ExpiredRows(lanes[1]))
    finally:
        await shared.close()
        await engine.dispose()
    for lane in lanes:
        await lane.close()


async def create(store: Store, count: int) -> list[uuid.UUID]:
    """Create pending tasks; return their ids."""
    tasks = [CreateTask(id=uuid.UUID(new_id()), title="one of many") for _ in repeat(None, count)]
    await store.writes.ask(CreateTasks(tasks=tasks))
    return [task.id for task in tasks]


async def runs(database_url: str) -> list[tuple[int, int]]:
    """How many tasks are in which run."""
    rows = await run_sql(database_url, "SELECT run, count(*) FROM tasks GROUP BY run ORDER BY run")
    return [(row[0], row[1]) for row in rows]


async def test_an_answer_that_is_lost_does_nothing_twice(store: Store, database_url: str) -> None:
    """The chunk was committed; the operation goes on behind it."""
    await create(store, 300)
    store.writes.lost_answers.append(DatabaseUnavailableError())
    operation = await store.start(action="process", filter={"status": ["pending", "queued"]})
    done = await store.carried_out(operation)
    assert (done.matched, done.done, done.refusals) == (300, 300, "{}")
    assert [len(chunk.candidates) for chunk in store.writes.chunks] == [200, 100]
    assert await runs(database_url) == [(1, 300)]


@pytest.mark.parametrize("error", [DatabaseUnavailableError(), OverloadedError()], ids=lambda error: error.code)
async def test_what_may_succeed_later_is_no_refusal(error: TaskmillError, store: Store) -> None:
    """The operation pauses, and asks the same tasks again."""
    task_ids = await create(store, 3)
    store.writes.refusals.append(error)
    done = await store.carried_out(await store.start(action="process", ids=task_ids))
    assert (done.matched, done.done, done.refusals) == (3, 3, "{}")
    first, second = store.writes.chunks
    assert first == second


async def test_a_chunk_of_a_former_leader_changes_nothing(store: Store, database_url: str) -> None:
    """Somebody else has carried it out meanwhile: neither tasks nor counts are touched."""
    await create(store, 300)
    operation = await store.start(action="process", filter={"kind": "echo"})
    chunk = await store.lists.chunk(operation, 200)
    first, again = [(await store.writes.ask(chunk)).bulk_operation for _ in range(2)]
    assert first is not None
    assert (first.status, first.done) == (BulkStatus.RUNNING, 200)
    assert again == first
    done = await store.carried_out(operation)
    await store.writes.ask(chunk)
    assert await store.rows.bulk_operation(done.id) == done
    assert await runs(database_url) == [(1, 300)]


async def test_a_task_is_asked_as_it_is_and_not_as_it_was_found(store: Store, database_url: str) -> None:
    """One that has changed since the look is asked if it still meets the filter, and left alone if it does not."""
    task_ids = await create(store, 3)
    operation = await store.start(action="delete", filter={"title": "ONE of"})
    chunk = await store.lists.chunk(operation, 200)
    for task_id, title in zip(task_ids, ["still one of them", "another"], strict=False):
        await store.writes.ask(UpdateTask(id=task_id, changes={"title": title}))
    after = (await store.writes.ask(chunk)).bulk_operation
    assert after is not None
    assert (after.status, after.matched, after.done) == (BulkStatus.COMPLETED, 2, 2)
    assert [row["title"] for row in await run_sql(database_url, "SELECT title FROM tasks")] == ["another"]


@pytest.mark.parametrize("is_named", [True, False])
async def test_tasks_with_many_lines_are_deleted_a_few_at_a_time(
    store: Store, database_url: str, is_named: bool
) -> None:
    """Others wait for a chunk, and lines take longer to delete than tasks do; to process them costs no more."""
    task_ids = await create(store, 7)
    await run_sql(database_url, "UPDATE tasks SET line_count = 400")
    which = {"ids": task_ids} if is_named else {"filter": {"kind": "echo"}}
    for action, dry_run, chunks in [("process", False, [7]), ("delete", True, [7]), ("delete", False, [2, 2, 2, 1])]:
        store.writes.chunks.clear()
        done = await store.carried_out(
            await store.start(action=action, dry_run=dry_run, force=action == "delete", **which)
        )
        assert (done.matched, done.refusals) == (7, "{}")
        assert [len(chunk.candidates) for chunk in store.writes.chunks] == chunks
    assert await runs(database_url) == []


class EndlessLists(TaskLists):
    """Looks for tasks, and never finds the end."""

    def __init__(self) -> None:
        self.is_looking = False

    async def chunk(self, *_: object) -> BulkChunk:
        """See `TaskLists`."""
        self.is_looking = True
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_drain_does_not_wait_for_a_look(store: Store) -> None:
    """A look may take a minute; nothing was asked yet, so nothing is lost."""
    await store.start(action="process", filter={"kind": "echo"})
    store.lists = lists = EndlessLists()
    async with asyncio.timeout(5), leading(store):
        await eventually(lambda: lists.is_looking)
    assert store.writes.chunks == []


async def test_operations_take_turns(store: Store) -> None:
    """A small one that comes second is completed long before the large one."""
    await create(store, 900)
    large = await store.start(action="process", filter={"kind": "echo"})
    small = await store.start(action="cancel", ids=[uuid.uuid4()])
    await store.carried_out(large)
    assert [chunk.operation_id for chunk in store.writes.chunks] == [large.id, small.id, *[large.id] * 4]


async def test_tasks_that_are_created_later_are_not_met(store: Store) -> None:
    """Neither those, nor those that the operation has passed."""
    await create(store, 3)
    operation = await store.start(action="process", filter={"kind": "echo"})
    later = await create(store, 2)
    first = await store.lists.chunk(operation, 2)
    assert (len(first.candidates), first.is_last) == (2, False)
    moved = (await store.writes.ask(first)).bulk_operation
    assert moved is not None
    second = await store.lists.chunk(moved, 2)
    assert (len(second.candidates), second.is_last) == (1, True)
    found = {candidate.id for chunk in (first, second) for candidate in chunk.candidates}
    assert len(found) == 3
    assert found.isdisjoint(later)


FILTERS: list[dict[str, Any]] = [
    {"status": ["pending"]},
    {"status": ["queued", "failed"]},
    {"title": "größe"},
    {"title": "%"},
    {"kind": "sleep"},
    {"queue": "web"},
    {"priority": "low"},
    {"labels": {"team": "web"}},
    {"labels": {"team": None}},
    {"labels": {"team": None, "x": "y"}, "status": ["pending"]},
]


async def test_the_rule_and_the_query_mean_the_same_by_a_filter(store: Store) -> None:
    """Of the same tasks both find the same."""
    fields: list[dict[str, Any]] = [
        {"title": "GRÖSSE Größe", "kind": "sleep", "labels": {"team": "web"}},
        {"title": "100% wool", "queue": "web", "process": True},
        {"title": "c", "priority": "low", "labels": {"team": "db", "x": "y"}},
    ]
    for task in fields:
        await store.writes.ask(CreateTask(id=uuid.UUID(new_id()), **task))
    everything = await store.lists.tasks(ListTasks(), None)
    middle = everything[1].created_at
    filters = [TaskFilter.model_validate(conditions) for conditions in FILTERS]
    filters += [TaskFilter(created_after=middle), TaskFilter(created_before=middle)]
    for wanted in filters:
        found = await store.lists.tasks(ListTasks(filter=wanted), None)
        assert 0 < len(found) < 3
        assert [task for task in everything if meets(task, wanted)] == found


async def test_what_was_completed_long_ago_is_forgotten(store: Store) -> None:
    """What runs is kept, however old it is."""
    completed = await store.carried_out(await store.start(action="process", ids=[uuid.uuid4()]))
    runs = await store.start(action="process", ids=[uuid.uuid4()])
    assert completed.finished_at is not None
    assert await store.expired.delete_bulk_operations(completed.finished_at, 10) == 0
    assert await store.expired.delete_bulk_operations(utc_now() + timedelta(days=1), 10) == 1
    assert [operation.id for operation in await store.rows.running(10, behind=uuid.UUID(int=0))] == [runs.id]
