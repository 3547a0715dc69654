"""What is decided of dependencies whatever comes at the same moment, and whoever looks late, or twice."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import pytest_asyncio

from taskmill.contracts.errors import RequestError
from taskmill.contracts.groups import CreateGroup
from taskmill.contracts.reports import Completed, Failed, ReportBundle
from taskmill.contracts.requests import CreateTask, DeleteTask, ProcessTask
from taskmill.contracts.tasks import TaskError
from taskmill.task_store.adapters.database import DedicatedConnection, SharedConnections, shared_connections
from taskmill.task_store.adapters.dependency_rows import DependencyRows
from taskmill.task_store.adapters.task_writer import TaskWriter
from taskmill.task_store.domain.dependencies import Pair, Release
from taskmill.task_store.domain.operations import Answer, Operation
from tests.support.task_states import FINISHED_AT, STARTED_AT
from tests.support.task_store import lone_writer, new_id, run_sql

ROUNDS = 60


class Store:
    """Two writers, as of two stores, and what the leader looks with. Nobody looks by himself."""

    def __init__(self, writers: Sequence[TaskWriter], shared: SharedConnections) -> None:
        self.writers = writers
        self.rows = DependencyRows(shared)
        self.position = 0

    async def apply(self, *operations: Operation, writer: int = 0) -> list[Answer | RequestError]:
        """Have a batch written; nothing of it may be refused."""
        answers = await self.writers[writer].apply(operations)
        assert not [answer for answer in answers if isinstance(answer, RequestError)]
        return answers

    async def create(self, *after: UUID) -> UUID:
        """A task that is processed."""
        task = new_task(*after)
        await self.apply(task)
        return task.id

    async def busily(self, trips: int, doing: Awaitable[object]) -> None:
        """Do something after some round trips to the database."""
        for _ in range(trips):
            await self.rows.standing()
        await doing

    async def look(self) -> list[Release]:
        """Have decided what the log allows; return what was asked for."""
        ended = await self.rows.ended(self.position, 10_000)
        releases = []
        while (release := await self.rows.decided(ended.task_ids, 200)) is not None:
            await self.apply(release)
            releases.append(release)
        self.position = ended.position
        return releases


@asynccontextmanager
async def opened(database_url: str) -> AsyncIterator[Store]:
    """Yield one."""
    lanes = [DedicatedConnection(database_url, name) for name in ("one", "two")]
    shared = await shared_connections(database_url, "reader", max_connections=2)
    writers = [lone_writer(lane, shared) for lane in lanes]
    yield Store(writers, shared)
    for close in (shared.close, *(lane.close for lane in lanes)):
        await close()


@pytest_asyncio.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """One without tasks."""
    async with opened(database_url) as store:
        yield store


def new_task(*after: UUID) -> CreateTask:
    """A request for a task that is processed once others are completed."""
    return CreateTask(id=UUID(new_id()), title="t", process=True, after=list(after))


def ends(*task_ids: UUID, attempt: int = 1, is_failed: bool = False) -> ReportBundle:
    """The ends of attempts."""
    times = {
        "attempt": attempt,
        "dispatch": attempt,
        "delivery": 1,
        "started_at": STARTED_AT,
        "finished_at": FINISHED_AT,
    }
    error = TaskError(code="handler_error", message="no")
    return ReportBundle(
        processor_id="processor-1",
        reports=[
            Failed(task_id=task_id, error=error, **times) if is_failed else Completed(task_id=task_id, **times)
            for task_id in task_ids
        ],
    )


async def status(database_url: str, task_id: UUID) -> str:
    """Where a task stands."""
    ((found,),) = await run_sql(database_url, f"SELECT status FROM tasks WHERE id = '{task_id}'")  # noqa: S608
    return str(found)


async def test_what_was_completed_once_stays_so(store: Store, database_url: str) -> None:
    """However late it is looked at: what was deleted, or is processed again, was completed before."""
    deleted, again = await store.create(), await store.create()
    dependent = await store.create(deleted, again)
    await store.apply(ends(deleted, again))
    await store.apply(DeleteTask(id=deleted), ProcessTask(id=again))
    await store.apply(ends(again, attempt=2, is_failed=True))
    await store.look()
    assert await status(database_url, dependent) == "queued"


async def test_only_what_comes_behind_a_dependency_ends_its_waiting(store: Store, database_url: str) -> None:
    """A run that ended before it was made is another one, though nobody has looked at that yet."""
    first = await store.create()
    await store.apply(ends(first), ProcessTask(id=first))
    dependent = await store.create(first)
    assert await store.look() == []
    assert await status(database_url, dependent) == "scheduled"
    await store.apply(ends(first, attempt=2))
    await store.look()
    assert await status(database_url, dependent) == "queued"


async def test_what_comes_twice_or_too_early_changes_nothing(store: Store, database_url: str) -> None:
    """As from a store that no longer leads: each dependency is decided once."""
    first, second = await store.create(), await store.create()
    dependent = await store.create(first, second)
    early = Release((Pair(dependent, first), Pair(dependent, second), Pair(first, second)), (dependent, first))
    await store.apply(early, early)
    assert await status(database_url, dependent) == "scheduled"
    await store.apply(ends(first))
    (release,) = await store.look()
    await store.apply(release, release, early)
    assert await status(database_url, dependent) == "scheduled"
    await store.apply(ends(second), early)
    await store.apply(early, early)
    await store.apply(early)
    assert await status(database_url, dependent) == "queued"
    assert await run_sql(database_url, "SELECT FROM task_dependencies") == []
    events = await run_sql(database_url, f"SELECT type FROM task_events WHERE task_id = '{dependent}' ORDER BY version")  # noqa: S608
    assert [row["type"] for row in events] == ["created", "scheduled", "queued"]


async def test_an_end_at_the_moment_of_the_creation_is_not_missed(store: Store, database_url: str) -> None:
    """In two stores at once: whoever comes first, the dependent goes on."""
    chance = random.Random(9)
    held: list[bool] = []
    wanted: list[CreateTask] = []
    for _ in range(ROUNDS):
        first = await store.create()
        wanted = [new_task(first) for _ in range(3)]
        await asyncio.gather(
            store.busily(chance.randrange(8), store.apply(ends(first))),
            store.busily(chance.randrange(8), store.apply(*wanted, writer=1)),
        )
        held.append((await store.rows.standing()).is_anything_held)
        await store.look()
    rows = await run_sql(database_url, "SELECT status, count(*) FROM tasks GROUP BY status ORDER BY status")
    assert [tuple(row) for row in rows] == [("completed", ROUNDS), ("queued", ROUNDS * len(wanted))]
    assert set(held) == {True, False}, "one of the two always came first"


async def test_a_group_is_settled_once(store: Store, database_url: str) -> None:
    """Whoever asks again, and whatever becomes of its tasks then."""
    tasks = [new_task() for _ in range(3)]
    completed, failed = new_task(), new_task()
    group = CreateGroup(id=UUID(new_id()), title="g", tasks=tasks, on_completed=completed, on_failed=failed)
    await store.apply(group)
    await store.apply(ends(tasks[0].id), ends(tasks[1].id))
    (early,) = await store.look()
    await store.apply(ends(tasks[2].id, is_failed=True))
    (release,) = await store.look()
    await store.apply(early, release, release)
    await store.apply(ProcessTask(id=tasks[2].id), ends(tasks[2].id, attempt=2))
    await store.look()
    await store.apply(release)
    assert [await status(database_url, task.id) for task in (completed, failed)] == ["cancelled", "queued"]
    rows = await run_sql(database_url, "SELECT status, settled_at IS NOT NULL FROM task_groups")
    assert [tuple(row) for row in rows] == [("failed", True)]
    counts = await run_sql(database_url, "SELECT type, count(*) FROM task_events WHERE type = 'queued' GROUP BY type")
    assert [row["count"] for row in counts] == [5]
