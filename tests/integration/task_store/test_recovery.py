import asyncio
from collections.abc import Sequence

import orjson

from taskmill.contracts import registry, subjects
from taskmill.contracts.control import CancelAttempt
from taskmill.contracts.reports import Hello
from taskmill.contracts.status import Priority
from taskmill.contracts.streams import EVENTS_STREAM, WORK_STREAM, work_consumer_name
from taskmill.processor.bootstrap import build_processor
from taskmill.processor.settings import ProcessorSettings
from taskmill.runtime.stream_state import purge_subject
from taskmill.sdk import Context, TaskApp
from tests.support.eventually import eventually, holds
from tests.support.executor import running_executor
from tests.support.running_service import running_service
from tests.support.task_store import (
    Document,
    StoreClient,
    hello,
    report,
    run_sql,
    running_store,
    store_client,
    store_with_client,
)

QUICK = {"lease_seconds": 1, "work_ack_wait_seconds": 1, "reconcile_interval_seconds": 0.2}
"""What makes recovery a matter of seconds."""


async def have_status(store: StoreClient, tasks: Sequence[Document], status: str) -> None:
    """Return when all tasks have a status."""

    async def check_all() -> None:
        others = [found for task in tasks if (found := await store.get(task["id"]))["status"] != status]
        assert others == []

    await holds(check_all, within_seconds=20, every_seconds=0.1)


async def test_work_that_was_purged_is_dispatched_again(database_url: str, nats_url: str) -> None:
    """Each task gets a new dispatch of the same attempt, and is done once."""
    async with store_with_client(database_url, nats_url, **QUICK) as store:
        tasks = [await store.create(process=True) for _ in range(30)]
        await store.published(60)
        await purge_subject(store.session, WORK_STREAM, subjects.WORK_SUBJECTS)

        async def check_work() -> None:
            assert await store.count(WORK_STREAM) == 30

        await holds(check_work)
        async with running_executor(nats_url) as executor:
            await have_status(store, tasks, "completed")
        assert executor.executions == {task["id"]: 1 for task in tasks}
        for task in tasks:
            assert await store.event_types(task["id"]) == ["created", "queued", "queued", "started", "completed"]
        (_, first, again, *_) = await store.events(tasks[0]["id"])
        assert (first["data"]["dispatch"], again["data"]["dispatch"], again["data"]["reason"]) == (1, 2, "lost")
        assert again["data"]["attempt"] == 1


async def test_work_that_waits_is_left_alone(database_url: str, nats_url: str) -> None:
    """While there is a message nothing is lost, however long a task waits or its lease is over."""
    async with store_with_client(database_url, nats_url, **QUICK) as store:
        queued, silent, lost = [await store.create(process=True) for _ in range(3)]
        await store.published(6)
        await store.report(report("started", silent["id"]))
        await purge_subject(store.session, WORK_STREAM, subjects.task_work(lost["id"]))
        # When this one is found, the others, which are older, have been looked at, too.
        await holds(lambda: check_dispatched_again(store, lost["id"]))
        await have_expired(database_url, silent["id"])
        await purge_subject(store.session, WORK_STREAM, subjects.task_work(lost["id"]))
        await holds(lambda: check_dispatched_again(store, lost["id"], times=2))
        assert await store.event_types(queued["id"]) == ["created", "queued"]
        assert await store.event_types(silent["id"]) == ["created", "queued", "started"]


async def check_dispatched_again(store: StoreClient, task_id: str, *, times: int = 1) -> None:
    """Assert that a task's work was found to be lost so often."""
    types = await store.event_types(task_id)
    assert types.count("queued") == times + 1, types


async def have_expired(database_url: str, task_id: str) -> None:
    """Return when a task's lease is over."""

    async def check_over() -> None:
        rows = await run_sql(database_url, "SELECT id FROM tasks WHERE lease_until < now()")
        assert task_id in {str(row["id"]) for row in rows}

    await holds(check_over)


async def test_a_lease_that_ran_out_without_a_message_is_a_new_dispatch(database_url: str, nats_url: str) -> None:
    """A processor that took its work along and fell silent is replaced."""
    async with store_with_client(database_url, nats_url, **QUICK) as store:
        task = await store.create(process=True)
        await store.published(2)
        await store.report(report("started", task["id"]))
        await purge_subject(store.session, WORK_STREAM, subjects.WORK_SUBJECTS)
        await holds(lambda: check_dispatched_again(store, task["id"]))
        # The silent one speaks after all: too late.
        await store.report(report("completed", task["id"]))
        async with running_executor(nats_url):
            await have_status(store, [task], "completed")
        assert (await store.get(task["id"]))["result"] == "done"


async def test_the_work_of_a_killed_processor_goes_to_another(database_url: str, nats_url: str) -> None:
    """JetStream delivers it again, the later delivery takes over, and nothing is dispatched anew."""
    async with store_with_client(database_url, nats_url, **QUICK) as store:
        task = await store.create(process=True)
        async with running_executor(nats_url, reports_of=lambda _: []) as killed:
            await eventually(lambda: killed.executions[task["id"]] == 1)
            await store.report(report("started", task["id"], delivery=1))
        async with running_executor(nats_url) as executor:
            await have_status(store, [task], "completed")
            assert executor.executions == {task["id"]: 1}
        assert await store.event_types(task["id"]) == ["created", "queued", "started", "started", "completed"]


async def test_a_report_that_waits_unread_is_not_lost(database_url: str, nats_url: str) -> None:
    """Work that is gone because it is done is not done again, even if the store has yet to hear of it."""
    async with store_with_client(database_url, nats_url, **QUICK) as store:
        tasks = [await store.create(process=True) for _ in range(50)]
        await store.published(100)
    async with store_client(nats_url) as client:
        for task in tasks:
            body = {"processor_id": "p", "reports": [report("completed", task["id"])]}
            await client.publish_report(orjson.dumps(body), "p")
        await purge_subject(client.session, WORK_STREAM, subjects.WORK_SUBJECTS)
    async with store_with_client(database_url, nats_url, **QUICK | {"reconcile_interval_seconds": 0.1}) as store:
        await have_status(store, tasks, "completed")
        for task in tasks:
            assert await store.event_types(task["id"]) == ["created", "queued", "started", "completed"]


async def test_a_cancelled_queued_task_never_runs(database_url: str, nats_url: str) -> None:
    """Its work is withdrawn, and that of its neighbours is not."""
    async with store_with_client(database_url, nats_url, **QUICK) as store:
        cancelled, other = [await store.create(process=True) for _ in range(2)]
        await store.published(4)
        assert (await store.ask(registry.CANCEL, id=cancelled["id"]))["status"] == "cancelled"
        await store.published(5)
        assert [item["task_id"] for item in await store.work_items()] == [other["id"]]
        async with running_executor(nats_url) as executor:
            await have_status(store, [other], "completed")
        assert executor.executions == {other["id"]: 1}
        assert await store.event_types(cancelled["id"]) == ["created", "queued", "cancelled"]


async def test_what_never_ran_is_cancelled_and_deleted_like_anything_else(store: StoreClient) -> None:
    """There is nobody to stop, and the feed goes on behind it."""
    cancelled, deleted = [await store.create() for _ in range(2)]
    await store.ask(registry.CANCEL, id=cancelled["id"])
    await store.ask(registry.DELETE, id=deleted["id"])
    await store.create(process=True)
    await store.published(6)


async def test_what_was_cancelled_before_a_crash_is_withdrawn_after_it(database_url: str, nats_url: str) -> None:
    """A relay that died between its commit and the purge does it again, but spares the work of a later run."""
    async with store_with_client(database_url, nats_url, **QUICK) as store:
        tasks = [await store.create(process=True) for _ in range(2)]
        for task in tasks:
            await store.ask(registry.CANCEL, id=task["id"])
        again = await store.ask(registry.PROCESS, id=tasks[1]["id"])
        await store.published(7)
    await run_sql(database_url, "UPDATE relay_cursor SET position = 0, work_position = 0")
    async with store_client(nats_url) as client:
        jetstream = client.session.client.jetstream()
        await jetstream.publish(f"tasks.v1.work.default.medium.echo.{tasks[0]['id']}", b"{}")
        async with running_store(database_url, nats_url, **QUICK):

            async def check_work() -> None:
                assert await client.count(WORK_STREAM) == 1

            await holds(check_work)
            (item,) = await client.work_items()
            assert (item["task_id"], item["dispatch"]) == (again["id"], 2)


async def test_a_cancellation_that_nobody_answers_expires(database_url: str, nats_url: str) -> None:
    """The processor is told again and again; when the lease is over the task is cancelled, and its work withdrawn."""
    async with store_with_client(database_url, nats_url, **QUICK | {"lease_seconds": 2}) as store:
        task = await store.create(process=True)
        await store.published(2)
        await store.report(report("started", task["id"]))
        told: list[tuple[str, int]] = []
        store.session.subscribe(
            subjects.CANCEL_SUBJECTS,
            lambda subject, _reply, body, _headers: told.append(
                (subject.decode(), CancelAttempt.model_validate_json(body).attempt)
            ),
        )
        await store.session.flush()
        asked = await store.ask(registry.CANCEL, id=task["id"])
        assert asked["status"] == "in_progress"
        await eventually(lambda: len(told) >= 3)
        assert set(told) == {(f"tasks.v1.ctl.cancel.{task['id']}", 1)}
        await have_status(store, [task], "cancelled")
        last = (await store.events(task["id"]))[-1]
        assert last["data"]["cancellation"] == "expired"

        async def check_work() -> None:
            assert await store.count(WORK_STREAM) == 0

        await holds(check_work)


async def test_a_crash_loop_withdraws_the_work(database_url: str, nats_url: str) -> None:
    """The work of a task that failed for its crashes is not delivered once more."""
    async with store_with_client(database_url, nats_url, **QUICK | {"lease_seconds": 30}) as store:
        task = await store.create(process=True)
        await store.published(2)
        for delivery in range(1, 5):
            await store.report(report("started", task["id"], delivery=delivery))
        failed = await store.get(task["id"])
        assert (failed["status"], failed["error"]["code"]) == ("failed", "crash_loop")

        async def check_work() -> None:
            assert await store.count(WORK_STREAM) == 0

        await holds(check_work)


async def test_what_a_task_waits_for(database_url: str, nats_url: str) -> None:
    """A reader sees what keeps a task: nobody serves its queue, knows its kind, or has a slot free."""
    async with store_with_client(database_url, nats_url) as store:
        served, unknown, unserved = [
            await store.create(process=True, queue=queue, kind=kind)
            for queue, kind in (("web", "echo"), ("web", "report"), ("other", "echo"))
        ]
        assert (await store.get(served["id"]))["waiting_for"] == {"reason": "processor", "until": None}
        await store.report(hello("web"))

        async def reasons() -> list[str]:
            tasks = [await store.get(task["id"]) for task in (served, unknown, unserved)]
            return [task["waiting_for"]["reason"] for task in tasks]

        async def check_reasons() -> None:
            assert await reasons() == ["slot", "kind", "processor"]

        await holds(check_reasons)
        created = await store.create(process=True, queue="web")
        assert created["waiting_for"]["reason"] == "slot"
        page = await store.ask(registry.LIST, sort="created_at")
        assert [item["waiting_for"]["reason"] for item in page["items"]][:3] == ["slot", "kind", "processor"]
        await run_sql(database_url, "UPDATE processors SET seen_at = seen_at - interval '31 seconds'")

        async def check_nobody_is_there() -> None:
            assert await reasons() == ["processor"] * 3

        await holds(check_nobody_is_there)


async def test_a_task_whose_kind_nobody_knows_waits_for_its_kind(store: StoreClient) -> None:
    """Also while it is scheduled to be offered again; the answer to a change and a list say so, too."""
    await store.report(hello("default"))
    task = await store.create(process=True, kind="report")
    await store.report(report("given_back", task["id"], reason="unknown_kind"))

    async def check_told() -> None:
        read = await store.get(task["id"])
        assert (read["status"], read["waiting_for"]) == ("scheduled", {"reason": "kind", "until": read["run_at"]})

    await holds(check_told)
    (listed,) = (await store.ask(registry.LIST))["items"]
    changed = await store.ask(registry.UPDATE, id=task["id"], changes={"title": "Report"})
    assert listed["waiting_for"]["reason"] == changed["waiting_for"]["reason"] == "kind"


async def test_the_timeout_of_a_kind_travels_with_its_work(store: StoreClient) -> None:
    """A work item says how long it may take: what the task says, or else its kind."""
    defaults = {"kind_defaults": {"echo": {"timeout_seconds": 7}}}
    Hello.model_validate(hello("default") | defaults)
    await store.report(hello("default") | defaults)
    await store.create(process=True)
    await store.create(process=True, timeout_seconds=2.5, max_attempts=3)
    await store.published(4)
    items = await store.work_items()
    assert [item["timeout_seconds"] for item in items] == [7, 2.5]
    assert [item["attempt_limit"] for item in items] == [1, 3]


async def test_idempotency_keys_expire(database_url: str, nats_url: str) -> None:
    """Keys that are older than they are kept are removed, however many; the others stay."""
    await run_sql(
        database_url,
        "INSERT INTO idempotency_keys (scope, key, fingerprint, answer, created_at) "
        "SELECT 'create', n::text, 'f', '{}', now() - CASE WHEN n <= 2500 THEN interval '2 minutes' ELSE '0' END "
        "FROM generate_series(1, 2510) AS n",
        "INSERT INTO processors SELECT 'p', '{}', '{}', 1, '1', now() - interval '2 days'",
    )
    async with running_store(database_url, nats_url, idempotency_ttl_seconds=60):

        async def check_gone() -> None:
            (row,) = await run_sql(
                database_url,
                "SELECT (SELECT count(*) FROM idempotency_keys) AS keys, (SELECT count(*) FROM processors) AS gone",
            )
            assert tuple(row) == (10, 0)

        await holds(check_gone)


async def test_two_stores_recover_as_one(database_url: str, nats_url: str) -> None:
    """However many stores run, work that is lost is dispatched again once."""
    async with (
        running_store(database_url, nats_url, **QUICK),
        running_store(database_url, nats_url, **QUICK),
        store_client(nats_url) as store,
    ):
        tasks = await asyncio.gather(*(store.create(process=True) for _ in range(100)))
        await store.published(200)
        jetstream = store.session.client.jetstream()
        await jetstream.delete_stream(WORK_STREAM)
        await jetstream.delete_stream(EVENTS_STREAM)
        async with running_executor(nats_url) as executor:
            await have_status(store, tasks, "completed")
        assert executor.executions == {task["id"]: 1 for task in tasks}
        for task in tasks:
            assert await store.event_types(task["id"]) == ["created", "queued", "queued", "started", "completed"]
        assert len(await store.published(500)) == 500


async def test_what_comes_again_after_its_end_is_not_done_again(database_url: str, nats_url: str) -> None:
    """A processor died when its report was stored and its work not acknowledged: the next one asks, and lets it be."""
    app = TaskApp("counted")
    called: list[str] = []

    @app.task("counted")
    async def counted(payload: str, _context: Context) -> None:
        called.append(payload)

    async with store_with_client(database_url, nats_url) as store:
        await store.report({**hello("default"), "kinds": ["counted"]})
        task = await store.create(process=True, kind="counted", payload="ended")
        await eventually(lambda: store.count(WORK_STREAM))
        name = work_consumer_name("default", Priority.MEDIUM)
        work = await store.session.client.jetstream().pull_subscribe_bind(name, WORK_STREAM)
        [item] = await work.fetch(1)
        await store.report(report("started", task["id"]), report("completed", task["id"], result=None))
        await item.nak()
        await work.unsubscribe()
        async with running_service(build_processor(ProcessorSettings(nats_url=nats_url), [app])):
            other = await store.create(process=True, kind="counted", payload="other")
            await have_status(store, [other], "completed")

            async def check_acknowledged() -> None:
                assert await store.count(WORK_STREAM) == 0

            await holds(check_acknowledged)
        assert called == ["other"]
        assert await store.event_types(task["id"]) == ["created", "queued", "started", "completed"]
