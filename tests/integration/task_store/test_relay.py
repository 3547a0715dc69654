import asyncio
from collections import defaultdict

import orjson
import pytest

from taskmill.cli.embedded.nats import NatsServer
from taskmill.contracts import registry, subjects
from taskmill.contracts.errors import RemoteError, TaskmillError
from taskmill.contracts.events import EventType
from taskmill.contracts.streams import EVENTS_STREAM, WORK_STREAM
from taskmill.runtime.errors import NoRespondersError
from tests.support.eventually import eventually
from tests.support.task_store import (
    FORGED_HEADERS,
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


async def test_the_stream_is_the_log_byte_for_byte(store: StoreClient, database_url: str) -> None:
    """Every event is published once, in the order of the log, under its id and subject."""
    tasks = [await store.create(process=True, payload={"ü": number}) for number in range(5)]
    await store.report(*(report("completed", task["id"], result={"ä": [1.0]}) for task in tasks))
    messages = await store.published(20)
    assert told(messages) == await logged(database_url)
    event_types = {event_type.cloud_event_type: event_type for event_type in EventType}
    for message in messages:
        document = orjson.loads(message.data)
        task_id = document["subject"]
        assert message.subject == subjects.event(event_types[document["type"]], "echo", task_id)
        assert document["id"] == f"{task_id}.{document['sequence']}"


async def test_work_is_published_once_for_each_dispatch(store: StoreClient) -> None:
    """A task's work item stands under its own subject, with the id that makes a repetition harmless."""
    task = await store.create(process=True, queue="web", priority="high", kind="sleep")
    await store.published(2)
    (message,) = await store.messages(WORK_STREAM)
    assert message.subject == f"tasks.v1.work.web.high.sleep.{task['id']}"
    assert message.message_id == f"{task['id']}:1:1"
    consumers = {info.name for info in await store.session.client.jetstream().consumers_info(WORK_STREAM)}
    assert consumers == {f"work-web-{priority}" for priority in ("critical", "high", "medium", "low")}


async def test_a_restart_goes_on_without_duplicates(database_url: str, nats_url: str) -> None:
    """When the cursor was not saved, the stream tells how far the events are; the work that it has is dropped."""
    async with store_with_client(database_url, nats_url) as store:
        task = await store.create(process=True)
        await store.published(2)
    await run_sql(database_url, "UPDATE relay_cursor SET position = 0, work_position = 0, stream_sequence = 0")
    async with store_with_client(database_url, nats_url) as store:
        await store.ask(registry.UPDATE, id=task["id"], changes={"title": "after the restart"})
        messages = await store.published(3)
        assert told(messages) == await logged(database_url)
        assert await store.count(WORK_STREAM) == 1


@pytest.mark.parametrize("headers", FORGED_HEADERS)
async def test_what_others_put_among_the_events_misleads_nobody(
    store: StoreClient, database_url: str, headers: bytes
) -> None:
    """The relay goes on behind it, and does not believe the position or the place that it claims."""
    await store.create()
    await store.published(1)
    await store.put_among_events(headers)
    for _ in range(2):
        await store.create(process=True)
    messages = await store.published(6)
    events = [message for message in messages if message.data != b"{}"]
    assert told(events) == await logged(database_url)


async def test_what_was_committed_before_a_crash_is_published_after_it(database_url: str, nats_url: str) -> None:
    """Events behind the cursor go out at the next start, work only for tasks that still wait for it."""
    async with store_with_client(database_url, nats_url) as store:
        done, waiting = await store.create(process=True), await store.create(process=True)
        await store.report(report("completed", done["id"]))
        await store.published(6)
    async with store_client(nats_url) as client:
        jetstream = client.session.client.jetstream()
        await jetstream.delete_stream(WORK_STREAM)
        await jetstream.delete_stream(EVENTS_STREAM)
    await run_sql(database_url, "UPDATE relay_cursor SET position = 0, work_position = 0")
    async with store_with_client(database_url, nats_url) as store:
        assert told(await store.published(6)) == await logged(database_url)
        assert [item["task_id"] for item in await store.work_items()] == [waiting["id"]]


async def test_two_stores_share_the_work_and_one_relays(database_url: str, nats_url: str) -> None:
    """Whichever store commits, versions have no gap and the stream is the log; nothing is published twice."""
    async with (
        running_store(database_url, nats_url),
        running_store(database_url, nats_url),
        store_client(nats_url) as store,
    ):
        tasks = await asyncio.gather(*(store.create(process=True, title=f"{number}") for number in range(60)))
        edits = [
            store.ask(registry.UPDATE, id=task["id"], changes={"title": f"new {number}"})
            for number, task in enumerate(tasks)
            for _ in range(2)
        ]
        await asyncio.gather(*edits)
        for task in tasks:
            await store.publish_report(
                orjson.dumps({"processor_id": "p", "reports": [report("completed", task["id"])]}), "p"
            )
        await store.reports_settled()
        count = len(await logged(database_url))
        messages = await store.published(count)
        assert told(messages) == await logged(database_url)
        versions = defaultdict(list)
        for message in messages:
            document = orjson.loads(message.data)
            versions[document["subject"]].append(document["sequence"])
        assert len(versions) == 60
        assert {task: numbers for task, numbers in versions.items() if numbers != list(range(1, 6))} == {}
        for task in tasks:
            assert await store.event_types(task["id"]) == ["created", "queued", "updated", "started", "completed"]


async def test_two_stores_change_one_task_one_after_another(database_url: str, nats_url: str) -> None:
    """What one store has read and the other changes is read again: no change is lost, none is told twice."""
    async with (
        running_store(database_url, nats_url),
        running_store(database_url, nats_url),
        store_client(nats_url) as store,
    ):
        task = await store.create(payload={})
        patches = [
            store.ask(registry.UPDATE, id=task["id"], changes={"payload": {f"{n}": n}}, is_merge_patch=True)
            for n in range(100)
        ]
        answers = await asyncio.gather(*patches)
        assert sorted(answer["version"] for answer in answers) == list(range(2, 102))
        assert (await store.get(task["id"]))["payload"] == {f"{n}": n for n in range(100)}
        assert [event["sequence"] for event in await store.events(task["id"])] == list(range(1, 102))


async def test_of_two_creations_of_one_id_one_succeeds(database_url: str, nats_url: str) -> None:
    """However many stores are asked at once, a task is created once."""
    async with (
        running_store(database_url, nats_url),
        running_store(database_url, nats_url),
        store_client(nats_url) as store,
    ):
        await store.create()
        for _ in range(10):
            task_id = new_id()
            attempts = [store.create(id=task_id, title=f"{number}") for number in range(4)]
            outcomes = await asyncio.gather(*attempts, return_exceptions=True)
            errors = [outcome for outcome in outcomes if isinstance(outcome, RemoteError)]
            assert [error.problem().code for error in errors] == ["task_exists"] * 3
            assert await store.event_types(task_id) == ["created"]


async def test_another_store_relays_when_the_leader_is_gone(database_url: str, nats_url: str) -> None:
    """The lease is given back at the drain, and the other store goes on where the first had stopped."""
    async with store_client(nats_url) as store:
        async with running_store(database_url, nats_url):
            await store.create()
            (first,) = await run_sql(database_url, "SELECT owner FROM relay_cursor")
            async with running_store(database_url, nats_url):
                await store.published(1)
            # The second never led; the first still does.
            assert await run_sql(database_url, "SELECT owner FROM relay_cursor") == [first]
            await store.create()
            await store.published(2)
        async with running_store(database_url, nats_url):
            await store.create()
            assert told(await store.published(3)) == await logged(database_url)
            (second,) = await run_sql(database_url, "SELECT owner FROM relay_cursor")
            assert second != first


async def test_a_store_that_does_not_lead_wakes_the_one_that_does(database_url: str, nats_url: str) -> None:
    """A commit of any store is published at once, not at the leader's next look."""
    async with (
        running_store(database_url, nats_url) as leader,
        running_store(database_url, nats_url),
        store_client(nats_url) as store,
    ):
        await store.create()
        await store.published(1)
        woken = asyncio.Event()
        store.session.subscribe(subjects.RELAY_WAKE_SUBJECT, lambda *_: woken.set())
        await store.session.flush()
        for _ in range(50):
            await store.create()
            if woken.is_set():
                break
        assert woken.is_set(), "no request reached the other store"
        assert leader.states()["relay"] == "running"


async def test_nats_away_and_back(database_url: str, nats_server: NatsServer) -> None:
    """What cannot be published waits in the log, and goes out when NATS is back."""
    async with store_with_client(database_url, nats_server.url) as store:
        task = await store.create(process=True)
        await store.published(2)
        await nats_server.stop()
        await nats_server.start()

        async def is_answered() -> bool:
            try:
                await store.ask(registry.UPDATE, id=task["id"], changes={"title": "back"})
            except (TaskmillError, NoRespondersError, TimeoutError):
                return False
            return True

        await eventually(is_answered, within_seconds=20)
        await store.report(report("completed", task["id"]))
        assert told(await store.published(5)) == await logged(database_url)


async def test_a_long_backlog_is_published_in_order(store: StoreClient, database_url: str) -> None:
    """More events than one batch of the relay takes arrive complete and in order."""
    count = 1_200
    tasks = [{"id": new_id(), "title": f"{number}"} for number in range(count)]
    await asyncio.gather(
        store.ask(registry.CREATE_MANY, tasks=tasks[:1_000]), store.ask(registry.CREATE_MANY, tasks=tasks[1_000:])
    )
    jetstream = store.session.client.jetstream()

    async def is_complete() -> bool:
        return bool((await jetstream.stream_info(EVENTS_STREAM)).state.messages == count)

    await eventually(is_complete)
    last = await jetstream.get_msg(EVENTS_STREAM, count)
    assert (last.data or b"").decode() == (await logged(database_url))[-1][1]
