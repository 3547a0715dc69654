"""Reports on tasks that a writer remembers, and that another one may have changed since."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from uuid import UUID

import pytest
import pytest_asyncio
from asyncpg import Connection, Record
from asyncpg.connection import LoggedQuery

from taskmill.contracts.reports import ReportBundle, RunReport
from taskmill.contracts.requests import CancelTask, CreateTask, ProcessTask
from taskmill.contracts.status import TaskStatus
from taskmill.task_store.adapters.database import DedicatedConnection, SharedConnections, shared_connections
from taskmill.task_store.adapters.queued_memory import MAX_CHARACTERS, MAX_TASKS, QueuedMemory
from taskmill.task_store.adapters.task_reader import TaskReader
from taskmill.task_store.domain.log_epoch import LogEpoch
from taskmill.task_store.domain.operations import Answer, Operation
from tests.support.task_states import after, completed, queued_task, started
from tests.support.task_store import lone_writer, new_id


class Store:
    """A writer as of one store, with the statements that it had executed."""

    def __init__(self, database_url: str, shared: SharedConnections) -> None:
        self.statements: list[str] = []
        self.connection = DedicatedConnection(database_url, "writer")
        self.connection.on_connect = self._listen
        self._writer = lone_writer(self.connection, shared)
        self.begin_epoch = self._writer.begin_epoch

    async def apply(self, *operations: Operation) -> list[Answer]:
        """Have a batch written; nothing of it may be refused."""
        answers = await self._writer.apply(operations)
        return [answer for answer in answers if isinstance(answer, Answer)]

    async def create(self) -> UUID:
        """A task that is queued."""
        task_id = UUID(new_id())
        await self.apply(CreateTask(id=task_id, title="t", process=True))
        return task_id

    async def _listen(self, connection: "Connection[Record]") -> None:
        connection.add_query_logger(self._note)

    def _note(self, query: LoggedQuery) -> None:
        self.statements.append(query.query)


@pytest_asyncio.fixture
async def stores(database_url: str) -> AsyncIterator[Sequence[Store]]:
    """Two that share a database, where the default queue exists."""
    async with AsyncExitStack() as stack:
        shared = await shared_connections(database_url, "memory", max_connections=1)
        stack.push_async_callback(shared.close)
        stores = [Store(database_url, shared) for _ in range(2)]
        for store in stores:
            stack.push_async_callback(store.connection.close)
            await store.create()
        yield stores


@pytest_asyncio.fixture
async def reader(database_url: str) -> AsyncIterator[TaskReader]:
    connections = await shared_connections(database_url, "reader", max_connections=1)
    yield TaskReader(connections)
    await connections.close()


def said(*reports: RunReport, task_id: UUID) -> ReportBundle:
    """Reports on a task."""
    return ReportBundle(
        processor_id="p", reports=[report.model_copy(update={"task_id": task_id}) for report in reports]
    )


async def test_the_end_of_a_task_that_was_just_queued_takes_one_statement(
    stores: Sequence[Store], reader: TaskReader
) -> None:
    """What the store has written itself it need not read."""
    store, _ = stores
    task_id = await store.create()
    store.statements.clear()
    await store.apply(said(completed(result=1), task_id=task_id))
    assert len(store.statements) == 1, store.statements
    task = await reader.task(task_id)
    assert (task.status, task.result, task.payload) == (TaskStatus.COMPLETED, "1", "null")


@pytest.mark.parametrize("dispatch", [1, 2])
async def test_what_another_store_has_queued_again_is_judged_as_it_is(
    stores: Sequence[Store], reader: TaskReader, dispatch: int
) -> None:
    """A report of the present execution counts, and one of the execution that is remembered does not."""
    one, other = stores
    task_id = await one.create()
    await other.apply(CancelTask(id=task_id))
    await other.apply(ProcessTask(id=task_id))
    await one.apply(said(completed(attempt=dispatch, dispatch=dispatch), task_id=task_id))
    expected = TaskStatus.COMPLETED if dispatch == 2 else TaskStatus.QUEUED
    assert (await reader.task(task_id)).status is expected


async def test_a_bundle_that_comes_again_changes_nothing(stores: Sequence[Store], reader: TaskReader) -> None:
    """Neither at the store that took it in first, nor at another one that still remembers the task as queued."""
    one, other = stores
    task_id = await one.create()
    bundle = said(started(), completed(), task_id=task_id)
    await other.apply(bundle)
    ended = await reader.task(task_id)
    for store in (one, other, one):
        await store.apply(bundle)
        assert await reader.task(task_id) == ended


@pytest.mark.parametrize("writer", [0, 1])
async def test_a_task_of_a_later_epoch_ends_with_its_first_dispatch(
    stores: Sequence[Store], reader: TaskReader, writer: int
) -> None:
    """Whether the store remembers it or reads it: its dispatches lie above those of the epoch before."""
    for store in stores:
        store.begin_epoch(LogEpoch(1_800_000_000_000_000))
    task_id = await stores[0].create()
    dispatch = (await reader.task(task_id)).dispatch
    await stores[writer].apply(said(completed(dispatch=dispatch), task_id=task_id))
    assert (await reader.task(task_id)).status is TaskStatus.COMPLETED


def test_no_more_is_remembered_than_fits() -> None:
    """The oldest are forgotten, and what is large, or not as it was queued, is not remembered."""
    memory = QueuedMemory()
    ids = [UUID(int=number) for number in range(MAX_TASKS + 10)]
    memory.note(queued_task(id=task_id) for task_id in ids)
    assert [state.id for state in memory.take(ids)] == ids[10:]
    assert memory.take(ids) == []
    long = "x" * MAX_CHARACTERS
    others = [
        queued_task(payload=long),
        queued_task()._replace(description=long),
        queued_task()._replace(labels=long),
        queued_task()._replace(checkpoint=long),
        queued_task()._replace(error=long),
        after(queued_task(), started()),
        queued_task()._replace(payload=None),
    ]
    for state in others:
        memory.note([state])
        assert memory.take([state.id]) == []
