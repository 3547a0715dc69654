import asyncio
import shutil
from collections.abc import Sequence

import orjson
import pytest

from taskmill.cli.embedded.nats import NatsServer
from taskmill.contracts import registry, subjects
from taskmill.contracts.errors import TaskmillError
from taskmill.contracts.streams import EVENTS_STREAM, WORK_STREAM
from taskmill.runtime.errors import NoRespondersError
from taskmill.runtime.stream_state import StreamState, first_sequence, stream_state
from taskmill.task_store.adapters.event_stream import EventStream
from tests.support.eventually import eventually, holds
from tests.support.executor import running_executor
from tests.support.task_store import (
    Document,
    StoreClient,
    logged,
    new_id,
    report,
    run_sql,
    running_store,
    store_client,
    store_with_client,
    told,
)

QUICK = {"lease_seconds": 2, "work_ack_wait_seconds": 2, "reconcile_interval_seconds": 0.5}


async def check_whole(store: StoreClient, database_url: str) -> None:
    """Assert that TASK_EVENTS is the log, from its first event to its last."""
    try:
        messages = await store.messages(EVENTS_STREAM)
    except Exception as error:
        if getattr(error, "err_code", None) != 10059:
            raise
        raise AssertionError("for the moment there is no such stream") from error
    assert told(messages) == await logged(database_url)


async def check_completed(store: StoreClient, tasks: Sequence[Document]) -> None:
    """Assert that every task is completed; it does not hold while the store cannot tell."""
    try:
        found = [await store.get(task["id"]) for task in tasks]
    except (TaskmillError, NoRespondersError, TimeoutError) as error:
        raise AssertionError(f"the store answers {error!r}") from error
    assert [task for task in found if task["status"] != "completed"] == []


async def oldest_work(store: StoreClient) -> int | None:
    """Where in TASK_WORK the oldest work item stands: elsewhere, once it was published again."""
    return await first_sequence(store.session, WORK_STREAM, subjects.WORK_SUBJECTS)


async def test_events_that_were_lost_are_published_again(database_url: str, nats_url: str) -> None:
    """TASK_EVENTS deleted alone: it is the log again, at the same positions, and no work is published again."""
    async with store_with_client(database_url, nats_url) as store:
        waiting, done = await store.create(process=True), await store.create(process=True)
        await store.report(report("completed", done["id"]))
        before = told(await store.published(6))
        work = await oldest_work(store)
        await store.session.client.jetstream().delete_stream(EVENTS_STREAM)
        await holds(lambda: check_whole(store, database_url))
        assert told(await store.published(6)) == before
        await store.ask(registry.UPDATE, id=done["id"], changes={"title": "after the loss"})
        await store.published(7)
        await check_whole(store, database_url)
        assert await oldest_work(store) == work
        assert await store.event_types(waiting["id"]) == ["created", "queued"]


async def test_a_stream_that_is_replaced_between_two_events(database_url: str, nats_url: str) -> None:
    """Not one event goes to the new stream before those that it should already have."""
    async with store_with_client(database_url, nats_url) as store:
        await store.create()
        await store.published(1)
        jetstream = store.session.client.jetstream()
        for _ in range(3):
            config = (await jetstream.stream_info(EVENTS_STREAM)).config
            await jetstream.delete_stream(EVENTS_STREAM)
            await jetstream.add_stream(config)
            await store.create()
            await holds(lambda: check_whole(store, database_url))


async def test_a_repair_publishes_no_work(database_url: str, nats_url: str) -> None:
    """Even where JetStream would take the work again: that it is lost is for the reconciler to find out."""
    async with store_with_client(database_url, nats_url, reconcile_interval_seconds=60) as store:
        await store.create(process=True)
        await store.published(2)
        jetstream = store.session.client.jetstream()
        await jetstream.delete_stream(WORK_STREAM)
        await jetstream.delete_stream(EVENTS_STREAM)
        await holds(lambda: check_whole(store, database_url))
        await store.create(process=True, title="of later")
        await store.published(4)
        assert [item["title"] for item in await store.work_items()] == ["of later"]


async def test_events_that_were_lost_while_nobody_led(database_url: str, nats_url: str) -> None:
    """The next leader notices it, even if somebody has made the stream anew and nothing happened since."""
    async with store_with_client(database_url, nats_url) as store:
        await store.create(process=True)
        await store.published(2)
        work = await oldest_work(store)
    async with store_client(nats_url) as client:
        jetstream = client.session.client.jetstream()
        config = (await jetstream.stream_info(EVENTS_STREAM)).config
        await jetstream.delete_stream(EVENTS_STREAM)
        await jetstream.add_stream(config)
        async with running_store(database_url, nats_url):
            await holds(lambda: check_whole(client, database_url))
            assert await oldest_work(client) == work


async def test_work_goes_on_while_events_are_published_again(database_url: str, nats_url: str) -> None:
    """A long repair holds nothing up, and everything is in order afterwards."""
    async with store_with_client(database_url, nats_url) as store, running_executor(nats_url) as executor:
        for _ in range(4):
            await store.ask(
                registry.CREATE_MANY, tasks=[{"id": new_id(), "title": f"{number}"} for number in range(1_000)]
            )
        await store.published(4_000)
        await store.session.client.jetstream().delete_stream(EVENTS_STREAM)
        tasks = [await store.create(process=True) for _ in range(200)]
        await holds(lambda: check_completed(store, tasks), within_seconds=20)
        assert executor.executions == {task["id"]: 1 for task in tasks}

        async def is_complete() -> bool:
            return (await stream_state(store.session, EVENTS_STREAM)).last_sequence >= 4_800

        await eventually(is_complete)
        rows = await run_sql(database_url, "SELECT position FROM task_events ORDER BY position")
        positions = []

        async def note_position(sequence: int) -> None:
            message = await store.session.client.jetstream().get_msg(EVENTS_STREAM, sequence)
            positions.append(int((message.headers or {})["Taskmill-Position"]))

        for sequence in range(1, 4_801, 50):
            await note_position(sequence)
        assert positions == [row["position"] for row in rows][::50]


async def test_jetstream_deleted_under_load(database_url: str, nats_server: NatsServer) -> None:
    """With its directory gone and the server started again, every task is completed, and the bus tells all of it."""
    async with (
        store_with_client(database_url, nats_server.url, **QUICK) as store,
        running_executor(nats_server.url) as executor,
    ):
        tasks: list[Document] = []
        is_over = asyncio.Event()

        async def load() -> None:
            while not is_over.is_set():
                task_id = new_id()

                async def is_created(task_id: str = task_id) -> bool:
                    try:
                        await store.create(id=task_id, process=True)
                    except NoRespondersError:
                        # The client is back before the store is.
                        return False
                    except TaskmillError as error:
                        return error.code == "task_exists" or error.problem().code == "task_exists"
                    return True

                await eventually(is_created, within_seconds=30)
                tasks.append({"id": task_id})

        loads = [asyncio.create_task(load()) for _ in range(10)]
        await eventually(lambda: len(tasks) > 300)
        await nats_server.stop()
        shutil.rmtree(nats_server.data_dir / "jetstream")
        await nats_server.start()
        count = len(tasks)
        await eventually(lambda: len(tasks) > count + 300, within_seconds=30)
        is_over.set()
        await asyncio.gather(*loads)

        await holds(lambda: check_completed(store, tasks), within_seconds=40, every_seconds=0.3)
        await holds(lambda: check_whole(store, database_url), within_seconds=30, every_seconds=0.3)
        assert set(executor.executions) == {task["id"] for task in tasks}
        for task in tasks:
            assert (await store.event_types(task["id"])).count("completed") == 1


async def test_jetstream_from_a_backup(database_url: str, nats_server: NatsServer) -> None:
    """Streams that have lost their end are completed: the same streams, but of an earlier time."""
    jetstream_directory = nats_server.data_dir / "jetstream"
    async with store_with_client(database_url, nats_server.url, **QUICK) as store:
        first = [await store.create(process=True) for _ in range(20)]
        await store.published(40)
        await nats_server.stop()
        backup = nats_server.data_dir / "backup"
        shutil.copytree(jetstream_directory, backup)
        await nats_server.start()
        second: list[Document] = []

        async def is_created() -> bool:
            try:
                second.append(await store.create(process=True))
            except (TaskmillError, NoRespondersError, TimeoutError):
                return False
            return True

        await eventually(is_created, within_seconds=20)
        second += [await store.create(process=True) for _ in range(19)]
        await store.published(80)
        await nats_server.stop()
        shutil.rmtree(jetstream_directory)
        shutil.copytree(backup, jetstream_directory)
        await nats_server.start()
        async with running_executor(nats_server.url) as executor:
            await holds(lambda: check_completed(store, first + second), within_seconds=30)
        assert executor.executions == {task["id"]: 1 for task in first + second}
        await holds(lambda: check_whole(store, database_url))
        types = [await store.event_types(task["id"]) for task in first + second]
        assert types[:20] == [["created", "queued", "started", "completed"]] * 20
        assert types[20:] == [["created", "queued", "queued", "started", "completed"]] * 20


async def test_a_stream_that_loses_its_end_while_it_is_looked_at(
    database_url: str, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had more than the relay knew, and has less a moment later: what is lost is published again all the same."""
    jetstream_directory, backup = nats_server.data_dir / "jetstream", nats_server.data_dir / "backup"

    async def tell(count: int) -> None:
        async with store_with_client(database_url, nats_server.url) as store:
            for _ in range(count):
                await store.create()

    await tell(2)
    await nats_server.stop()
    shutil.copytree(jetstream_directory, backup)
    await nats_server.start()
    await tell(2)
    await run_sql(
        database_url, "CREATE TABLE known AS SELECT position, work_position, stream_sequence FROM relay_cursor"
    )
    await tell(2)
    # As after a crash: what was published last is not written down.
    [known] = await run_sql(
        database_url,
        """UPDATE relay_cursor SET (position, work_position, stream_sequence) = (SELECT * FROM known)
        RETURNING stream_sequence""",
    )
    looked: list[int] = []
    real = EventStream.state

    async def state_before_the_loss(self: EventStream) -> StreamState:
        state = await real(self)
        if not looked:
            await nats_server.stop()
            shutil.rmtree(jetstream_directory)
            shutil.copytree(backup, jetstream_directory)
            await nats_server.start()
            await eventually(lambda: self._session.is_connected, within_seconds=20)
            looked.append(state.last_sequence)
        return state

    monkeypatch.setattr(EventStream, "state", state_before_the_loss)
    async with store_with_client(database_url, nats_server.url) as store:
        await eventually(lambda: looked, within_seconds=20)
        await holds(lambda: check_whole(store, database_url))
    assert (known["stream_sequence"], looked) == (4, [6])


async def test_events_older_than_the_stream_keeps_stay_in_the_log(database_url: str, nats_url: str) -> None:
    """A repair begins with the first event that the stream would still have."""
    async with store_with_client(database_url, nats_url) as store:
        tasks = [await store.create() for _ in range(10)]
        await store.published(10)
    await run_sql(
        database_url,
        """UPDATE task_events SET document = jsonb_set(document::jsonb, '{time}', '"2020-01-01T00:00:00Z"')::text
        WHERE position <= (SELECT max(position) - 3 FROM task_events)""",
    )
    async with store_client(nats_url) as client:
        await client.session.client.jetstream().delete_stream(EVENTS_STREAM)
        async with running_store(database_url, nats_url):
            messages = await client.published(3)
            assert [orjson.loads(message.data)["subject"] for message in messages] == [
                task["id"] for task in tasks[-3:]
            ]
            assert messages[0].subject.startswith(subjects.EVENT_SUBJECTS[:-1])
