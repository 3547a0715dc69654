import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

import asyncpg
import pytest

from taskmill.contracts import registry
from taskmill.contracts.errors import DatabaseUnavailableError
from taskmill.runtime.leadership import Leadership
from taskmill.task_store.actors.log_months import MONTHS_AHEAD, LogMonths
from taskmill.task_store.adapters import log_partitions
from taskmill.task_store.adapters.database import DedicatedConnection, SharedConnections, shared_connections
from taskmill.task_store.adapters.log_partitions import LogPartitions
from taskmill.task_store.adapters.statements import EVENT_LOG_LOCK
from taskmill.task_store.adapters.task_reader import TaskReader
from taskmill.task_store.domain.months import Month, month_of
from tests.support.eventually import holds
from tests.support.leases import LeaseOf
from tests.support.removed_events import remove_all_events
from tests.support.task_store import (
    StoreClient,
    logged,
    new_id,
    run_sql,
    running_store,
    store_client,
    store_with_client,
)

DAY = timedelta(days=1)
KEPT_FOR = 30 * DAY
STRAYS = "SELECT position FROM task_events_default ORDER BY position"
PUBLISHED = "SELECT position FROM relay_cursor"
REMOVED = "SELECT position, recorded_before FROM removed_events"
PARTS = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'task_events'::regclass"
PLACES = "SELECT position, tableoid::regclass::text AS place FROM task_events"
RECORD = "UPDATE task_events SET recorded_at = $1 WHERE position = ANY($2)"
WAITING_FOR_LOCKS = """
SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database AND datname = current_database() WHERE NOT granted
"""
HELD_UP_LOG = "LOCK TABLE task_events IN ACCESS SHARE MODE"


def this_month() -> Month:
    """The month in which a store under test writes."""
    return month_of(datetime.now(UTC))


@pytest.fixture
async def partitions(database_url: str) -> AsyncIterator[LogPartitions]:
    """The parts of the log of this test."""
    connection = DedicatedConnection(database_url, "partitions")
    yield LogPartitions(connection)
    await connection.close()


async def look(partitions: LogPartitions, now: datetime, kept_for: timedelta | None = KEPT_FOR) -> list[Month]:
    """Have the duty look at a time; return the months that there are then."""
    await LogMonths(
        partitions, Leadership("leadership", LeaseOf("me"), "me"), kept_for=kept_for, now=lambda: now
    ).work()
    return await partitions.months()


def part(month: Month) -> str:
    """The table of a month."""
    return f"task_events_{month.year}_{month.number:02}"


async def have_recorded(database_url: str, month: Month, *positions: int) -> None:
    """Make it as if events had been recorded in a month."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(RECORD, month.start, positions)
    finally:
        await connection.close()


async def published(database_url: str) -> int:
    """Return the newest position, once the relay has saved that it came there, and the store has made its months."""
    newest = (await logged(database_url))[-1][0]

    async def check_saved() -> None:
        (row,) = await run_sql(database_url, PUBLISHED)
        assert row["position"] == newest
        (row,) = await run_sql(database_url, PARTS)
        assert row["count"] > MONTHS_AHEAD + 1

    await holds(check_saved)
    return newest


async def test_a_store_that_leads_makes_the_months_ahead(database_url: str, nats_url: str) -> None:
    """This one and those to come have a part of their own before anything is written there; of two stores, one does."""
    wanted = [this_month()]
    while len(wanted) <= MONTHS_AHEAD:
        wanted.append(wanted[-1].following)
    connection = DedicatedConnection(database_url, "partitions")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(connection.close)
        for _ in range(2):
            await stack.enter_async_context(running_store(database_url, nats_url))

        async def check_made() -> None:
            assert await LogPartitions(connection).months() == wanted

        await holds(check_made)


async def test_events_go_to_the_part_of_their_month(
    store: StoreClient, database_url: str, partitions: LogPartitions
) -> None:
    """And are read in the order of the log all the same."""
    await look(partitions, datetime.now(UTC))
    next_month = this_month().following
    ids = [(await store.create(process=True))["id"] for _ in range(3)]
    await have_recorded(database_url, next_month, 2, 3, 6)
    there = await run_sql(database_url, PLACES)
    assert {row["place"] for row in there if row["position"] in {2, 3, 6}} == {part(next_month)}
    assert {row["place"] for row in there if row["position"] in {1, 4, 5}} == {part(this_month())}
    page = await store.ask(registry.READ_LOG, after=0)
    assert [item["position"] for item in page["items"]] == [1, 2, 3, 4, 5, 6]
    assert (page["oldest"], page["newest"], page["removed"]) == (1, 6, 0)
    assert [await store.event_types(task_id) for task_id in ids] == [["created", "queued"]] * 3


async def test_a_month_is_dropped_when_all_of_it_was_kept_for_long_enough(
    store: StoreClient, database_url: str, partitions: LogPartitions
) -> None:
    """Not a moment before, not without being told to; and where the log begins now is written down."""
    await store.create(process=True)
    newest = await published(database_url)
    month = this_month()
    due_at = month.end + KEPT_FOR
    assert month in await look(partitions, due_at + 1000 * DAY, kept_for=None)
    assert month in await look(partitions, due_at - timedelta(microseconds=1))
    assert month not in await look(partitions, due_at)
    assert await logged(database_url) == []
    (row,) = await run_sql(database_url, REMOVED)
    assert tuple(row) == (newest, month.end)


async def test_a_month_that_is_not_published_stays(database_url: str, nats_url: str, partitions: LogPartitions) -> None:
    """Until the relay has come by."""
    async with store_with_client(database_url, nats_url) as store:
        await store.create()
        await published(database_url)
    await run_sql(database_url, "UPDATE relay_cursor SET position = 0, work_position = 0")
    long_after = this_month().end + 2 * KEPT_FOR
    assert this_month() in await look(partitions, long_after)
    async with running_store(database_url, nats_url):
        await published(database_url)
    assert this_month() not in await look(partitions, long_after)


async def test_a_month_that_webhooks_were_not_told_of_stays(
    database_url: str, nats_url: str, partitions: LogPartitions
) -> None:
    """Until each event is a delivery; a webhook that is off waits for none."""
    async with store_with_client(database_url, nats_url) as store:
        wanted = {"url": "https://example.org/hook", "types": ["deleted"], "secret": "whsec_" + "s" * 40}
        webhook = await store.ask(registry.CREATE_WEBHOOK, id=new_id(), **wanted)
        await store.create()
        await published(database_url)
    long_after = this_month().end + 2 * KEPT_FOR
    await run_sql(database_url, "UPDATE webhook_cursor SET position = 0", "UPDATE webhooks SET since_position = 0")
    assert this_month() in await look(partitions, long_after)
    await run_sql(database_url, "UPDATE webhooks SET is_enabled = false")
    assert webhook["is_enabled"]
    assert this_month() not in await look(partitions, long_after)


async def test_events_of_a_month_without_a_part_are_kept_until_there_is_one(
    store: StoreClient, database_url: str, partitions: LogPartitions
) -> None:
    """Nothing is refused, and nothing gets lost, when nobody made the part in time."""
    await store.create()
    await published(database_url)
    assert await partitions.drop(this_month()) == 1
    task = await store.create(process=True)
    assert [row["position"] for row in await run_sql(database_url, STRAYS)] == [2, 3]
    assert this_month() in await look(partitions, datetime.now(UTC))
    assert await run_sql(database_url, STRAYS) == []
    assert [position for position, _ in await logged(database_url)] == [2, 3]
    assert await store.event_types(task["id"]) == ["created", "queued"]


async def test_many_events_without_a_part_are_moved_a_few_at_a_time(
    store: StoreClient, database_url: str, partitions: LogPartitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are: between two steps others write, and at every moment each event is there, once."""
    monkeypatch.setattr(log_partitions, "MAX_COPIED_EVENTS", 2)
    await store.create()
    await published(database_url)
    await partitions.drop(this_month())
    newest = 1
    async with asyncio.timeout(15):
        while this_month() not in await look(partitions, datetime.now(UTC)):
            # More come than are copied, for a while.
            for _ in range(3 if newest < 10 else 0):
                await store.create()
                newest += 1
            assert [position for position, _ in await logged(database_url)] == list(range(2, newest + 1))
    assert newest >= 10
    assert [position for position, _ in await logged(database_url)] == list(range(2, newest + 1))
    assert await run_sql(database_url, STRAYS) == []


async def test_no_part_is_made_while_events_of_another_month_have_none(
    store: StoreClient, database_url: str, partitions: LogPartitions
) -> None:
    """Such as came after it was looked; with both it succeeds."""
    await store.create(process=True)
    await published(database_url)
    now = datetime.now(UTC)
    months = [this_month(), this_month().following]
    for month in months:
        await partitions.drop(month)
    await store.create(process=True)
    await have_recorded(database_url, this_month().following, 4)
    assert await partitions.make([this_month()]) == []
    assert [row["position"] for row in await run_sql(database_url, STRAYS)] == [3, 4]
    assert set(months) <= set(await look(partitions, now))
    assert await run_sql(database_url, STRAYS) == []
    assert [position for position, _ in await logged(database_url)] == [3, 4]


async def test_what_was_removed_is_told(store: StoreClient, database_url: str, partitions: LogPartitions) -> None:
    """In the log up to its position, in the history of a task up to its version; positions never go back."""
    old = await store.create()
    gone = await store.create()
    await store.ask(registry.DELETE, id=gone["id"])
    assert await published(database_url) == 3
    await partitions.drop(this_month())
    page = await store.ask(registry.READ_LOG, after=0)
    assert page == {"items": [], "next_after": 3, "oldest": 0, "newest": 3, "removed": 3, "epoch": 0}
    assert await store.ask(registry.EVENTS, task_id=old["id"]) == {"items": [], "next_cursor": None, "removed": 1}
    assert await store.refusal(registry.EVENTS, task_id=gone["id"]) == "task_not_found"

    await store.ask(registry.PROCESS, id=old["id"])
    new = await store.create()
    page = await store.ask(registry.READ_LOG, after=0)
    assert [item["position"] for item in page["items"]] == [4, 5]
    assert (page["next_after"], page["oldest"], page["newest"], page["removed"]) == (5, 4, 5, 3)
    history = await store.ask(registry.EVENTS, task_id=old["id"])
    assert ([event["sequence"] for event in history["items"]], history["removed"]) == ([2], 1)
    assert (await store.ask(registry.EVENTS, task_id=new["id"]))["removed"] == 0
    # The relay goes on as if nothing were missing.
    assert [message.position for message in await store.published(5)] == [1, 2, 3, 4, 5]


async def test_what_lies_far_before_the_log_is_passed_over(
    store: StoreClient, database_url: str, partitions: LogPartitions
) -> None:
    """Who comes with a position of long ago gets the oldest events at once."""
    await store.create()
    await published(database_url)
    await partitions.drop(this_month())
    await run_sql(database_url, "SELECT setval('task_events_position_seq', 5000000)")
    await store.create()
    page = await store.ask(registry.READ_LOG, after=0)
    assert ([item["position"] for item in page["items"]], page["next_after"]) == ([5_000_001], 5_000_001)


async def test_a_task_whose_events_are_gone_is_still_looked_after(
    database_url: str, nats_url: str, partitions: LogPartitions
) -> None:
    """Its work is found to be lost, though nothing says any more that it was published."""
    async with store_with_client(database_url, nats_url, reconcile_interval_seconds=0.1) as store:
        task = await store.create(process=True)
        await published(database_url)
        await partitions.drop(this_month())
        await store.session.client.jetstream().purge_stream("TASK_WORK")

        async def check_dispatched_again() -> None:
            assert await store.event_types(task["id"]) == ["queued"]

        await holds(check_dispatched_again)
        assert (await store.get(task["id"]))["status"] == "queued"


async def test_the_id_of_a_task_of_an_earlier_month_is_not_used_again(
    store: StoreClient, database_url: str, partitions: LogPartitions
) -> None:
    """The key of this month's part does not know it: it is looked for in the others."""
    old_id = "01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42"
    await store.create(id=old_id)
    await store.ask(registry.DELETE, id=old_id)
    await look(partitions, datetime.now(UTC))
    # As if this month had been that of then.
    await have_recorded(database_url, this_month().following, 1, 2)
    assert await store.refusal(registry.CREATE, id=old_id, title="again") == "task_exists"
    ids = [new_id(), old_id]
    tasks = [{"id": task_id, "title": "again"} for task_id in ids]
    assert await store.refusal(registry.CREATE_MANY, tasks=tasks) == "task_exists"


@asynccontextmanager
async def reader(database_url: str) -> AsyncIterator[None]:
    """Read the log all the time, as a long query does."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute(HELD_UP_LOG)
            yield
    finally:
        await connection.close()


async def test_dropping_waits_for_nobody_for_long(
    store: StoreClient, database_url: str, partitions: LogPartitions
) -> None:
    """When the log is being read it is put off, and whoever writes was held up for a moment only."""
    await store.create()
    await published(database_url)
    async with reader(database_url):
        with pytest.raises(DatabaseUnavailableError):
            await partitions.drop(this_month())
        await store.create()
    assert len(await logged(database_url)) == 2
    await published(database_url)
    assert await partitions.drop(this_month()) == 2


async def test_dropping_does_not_wait_crosswise_with_who_writes(
    store: StoreClient, database_url: str, partitions: LogPartitions
) -> None:
    """Also while others write one after another: it has its turn, and who comes behind it is served then."""
    await store.create()
    await published(database_url)
    writer = await asyncpg.connect(database_url)

    async def check_waiting(count: int) -> None:
        (row,) = await run_sql(database_url, WAITING_FOR_LOCKS)
        assert row["count"] == count

    try:
        async with writer.transaction():
            await writer.execute(f"SELECT pg_advisory_xact_lock({EVENT_LOG_LOCK})")
            dropping = asyncio.ensure_future(partitions.drop(this_month()))
            await holds(lambda: check_waiting(1))
            creating = asyncio.ensure_future(store.create())
            await holds(lambda: check_waiting(2))
        assert await dropping == 1
        await creating
    finally:
        await writer.close()
    assert [position for position, _ in await logged(database_url)] == [2]


async def test_two_stores_make_a_month_once(database_url: str, partitions: LogPartitions) -> None:
    """Whoever comes second finds it there."""
    other = DedicatedConnection(database_url, "other")
    month = this_month().following
    try:
        assert await partitions.make([month]) == [month]
        assert await LogPartitions(other).make([month, month.following]) == [month.following]
    finally:
        await other.close()


class Interrupted:
    """Connections by which something else happens between two statements."""

    def __init__(self, connections: SharedConnections, happens: Callable[[], Awaitable[object]]) -> None:
        self._connections = connections
        self._happens = happens
        self.statements = 0

    async def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Execute a statement; before the second one it happens."""
        self.statements += 1
        if self.statements == 2:
            await self._happens()
        return await self._connections.fetch(statement, *arguments)


async def test_a_task_without_events_is_known_while_it_is_changed(database_url: str, nats_url: str) -> None:
    """Its next event comes between two looks: it is that, and no 404."""
    async with running_store(database_url, nats_url), store_client(nats_url) as client:
        task = await client.create()
        await remove_all_events(database_url)
        connections = await shared_connections(database_url, "reader", max_connections=1)
        interrupted = Interrupted(connections, lambda: client.ask(registry.PROCESS, id=task["id"]))
        reader = TaskReader(cast("SharedConnections", interrupted))
        try:
            first = await reader.events(UUID(task["id"]), after_version=0, limit=10)
            second = await reader.events(UUID(task["id"]), after_version=2, limit=10)
        finally:
            await connections.close()
    assert (first.last_version, first.removed, len(first.documents)) == (2, 1, 1)
    assert (second.last_version, second.removed, second.documents) == (2, 0, [])
