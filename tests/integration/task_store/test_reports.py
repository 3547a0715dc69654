import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import orjson
import pytest

from taskmill.cli.embedded.nats import NatsServer
from taskmill.contracts import registry
from taskmill.contracts.errors import DatabaseUnavailableError, TaskmillError
from taskmill.contracts.reports import Hello, ReportBundle, RunReport
from taskmill.contracts.streams import REPORTS_STREAM, WORK_STREAM, reports_consumer, reports_stream
from taskmill.runtime.mailbox import BatchingMailbox
from taskmill.runtime.provisioning import ensure_consumer, ensure_stream
from taskmill.task_store.actors import report_intake
from taskmill.task_store.actors.report_intake import (
    IN_HAND_SECONDS,
    MAX_BUNDLES_IN_HAND,
    MAX_BUNDLES_WAITING,
    ReportIntake,
)
from taskmill.task_store.domain.operations import Answer, Operation
from taskmill.task_store.domain.patience import Patience
from tests.support.actors import running
from tests.support.eventually import eventually
from tests.support.task_store import (
    FINISHED_AT,
    STARTED_AT,
    Document,
    StoreClient,
    hello,
    new_id,
    report,
    run_sql,
    store_client,
    store_with_client,
)


async def attempts(store: StoreClient, task_id: str) -> list[Document]:
    """The attempts of a task."""
    page = await store.ask(registry.ATTEMPTS, task_id=task_id)
    items: list[Document] = page["items"]
    return items


async def test_an_execution_is_followed_from_start_to_end(store: StoreClient) -> None:
    """Each report is an event and moves the task and its attempt."""
    task = await store.create(process=True)
    await store.report(report("started", task["id"]))
    running = await store.get(task["id"])
    assert (running["status"], running["started_at"], running["processor_id"]) == (
        "in_progress",
        STARTED_AT,
        "processor-1",
    )
    await store.report(report("progressed", task["id"], progress={"fraction": 0.5, "message": "half"}))
    assert (await store.get(task["id"]))["progress"] == {"fraction": 0.5, "message": "half"}
    await store.report(report("completed", task["id"], result={"status": 200}))
    done = await store.get(task["id"])
    assert (done["status"], done["result"], done["is_run_active"]) == ("completed", {"status": 200}, False)
    assert await store.event_types(task["id"]) == ["created", "queued", "started", "progressed", "completed"]
    (attempt,) = await attempts(store, task["id"])
    assert (attempt["outcome"], attempt["finished_at"], attempt["delivery"]) == ("completed", FINISHED_AT, 1)


async def test_a_failure_is_final(store: StoreClient) -> None:
    """A failed report ends the run with its error; processing again is a new run."""
    error = {"code": "handler_error", "type": "ValueError", "message": "no such page"}
    task = await store.create(process=True)
    await store.report(report("failed", task["id"], error=error))
    failed = await store.get(task["id"])
    assert (failed["status"], failed["error"], failed["is_run_active"]) == ("failed", error, False)
    assert (await attempts(store, task["id"]))[0]["error"] == error
    assert (await store.ask(registry.PROCESS, id=task["id"]))["attempt"] == 2


async def test_an_attempt_is_told_from_when_it_is_queued(store: StoreClient, database_url: str) -> None:
    """The open attempt is what its task's row says, whatever an older store wrote of it."""
    error = {"code": "handler_error", "type": "ValueError", "message": "no such page"}
    task = await store.create(process=True)
    (queued,) = await attempts(store, task["id"])
    assert (queued["attempt"], queued["started_at"], queued["outcome"]) == (1, None, None)
    await run_sql(
        database_url,
        "INSERT INTO task_attempts (task_id, attempt, run, delivery, queued_at) "
        "SELECT id, 1, 1, 0, queued_at FROM tasks",
    )
    await store.report(report("started", task["id"]))
    (started,) = await attempts(store, task["id"])
    assert (started["started_at"], started["processor_id"], started["outcome"]) == (STARTED_AT, "processor-1", None)
    await store.report(report("failed", task["id"], error=error))
    await store.ask(registry.PROCESS, id=task["id"])
    first = await store.ask(registry.ATTEMPTS, task_id=task["id"], limit=1)
    second = await store.ask(registry.ATTEMPTS, task_id=task["id"], limit=1, cursor=first["next_cursor"])
    told = [(it["attempt"], it["run"], it["outcome"]) for it in (*first["items"], *second["items"])]
    assert told == [(1, 1, "failed"), (2, 2, None)]
    assert second["next_cursor"] is None


async def test_replays_and_stale_reports_change_nothing(store: StoreClient) -> None:
    """Neither a repeated bundle, nor an earlier delivery, nor another attempt or dispatch moves the task."""
    task = await store.create(process=True)
    started, completed = report("started", task["id"], delivery=2), report("completed", task["id"], delivery=2)
    await store.report(started)
    before = await store.get(task["id"])
    await store.report(
        started,
        report("started", task["id"], delivery=1),
        report("completed", task["id"], delivery=1, result="stale"),
        report("failed", task["id"], attempt=2, error={"code": "x", "message": "x"}),
        report("progressed", task["id"], dispatch=2, delivery=2, progress={"fraction": 1}),
        report("completed", new_id(), result="nobody's"),
    )
    assert await store.get(task["id"]) == before
    await store.report(completed)
    done = await store.get(task["id"])
    await store.report(completed, report("started", task["id"], delivery=3))
    assert await store.get(task["id"]) == done
    assert await store.event_types(task["id"]) == ["created", "queued", "started", "completed"]


async def test_a_later_delivery_takes_over(store: StoreClient) -> None:
    """After a redelivery the second execution holds the attempt, and its ending counts."""
    task = await store.create(process=True)
    await store.report(report("started", task["id"], delivery=1), processor_id="processor-1")
    await store.report(report("started", task["id"], delivery=2), processor_id="processor-2")
    await store.report(report("completed", task["id"], delivery=1, result="first"), processor_id="processor-1")
    assert (await store.get(task["id"]))["status"] == "in_progress"
    await store.report(report("completed", task["id"], delivery=2, result="second"), processor_id="processor-2")
    done = await store.get(task["id"])
    assert (done["result"], done["processor_id"]) == ("second", "processor-2")
    assert await store.event_types(task["id"]) == ["created", "queued", "started", "started", "completed"]


async def test_a_heartbeat_moves_the_lease_and_nothing_else(store: StoreClient, database_url: str) -> None:
    """The lease is renewed in the row; nobody is told."""
    task = await store.create(process=True)
    await store.report(report("started", task["id"]))
    before = await store.get(task["id"])
    lease = "SELECT lease_until FROM tasks"
    (first,) = await run_sql(database_url, lease)
    await store.report(report("heartbeat", task["id"]))
    (second,) = await run_sql(database_url, lease)
    assert second["lease_until"] > first["lease_until"]
    assert await store.get(task["id"]) == before


async def test_given_back_goes_out_under_a_new_dispatch(store: StoreClient) -> None:
    """A draining processor's work replaces the old work item; reports of the old dispatch no longer count."""
    task = await store.create(process=True)
    await store.published(2)
    await store.report(report("given_back", task["id"], reason="draining"))
    await store.published(3)
    (item,) = await store.work_items()
    assert (item["attempt"], item["dispatch"]) == (1, 2)
    await store.report(report("completed", task["id"], dispatch=1))
    assert (await store.get(task["id"]))["status"] == "queued"
    await store.report(report("completed", task["id"], dispatch=2))
    assert [attempt["outcome"] for attempt in await attempts(store, task["id"])] == ["completed"]


async def test_an_unknown_kind_waits_and_is_queued_when_due(database_url: str, nats_url: str) -> None:
    """The task is scheduled for as long as the setting says, then goes out again by itself."""
    async with store_with_client(database_url, nats_url, unknown_kind_backoff_seconds=1) as store:
        task = await store.create(process=True)
        await store.report(report("given_back", task["id"], reason="unknown_kind"))
        scheduled = await store.get(task["id"])
        assert scheduled["status"] == "scheduled"
        assert scheduled["run_at"] > scheduled["updated_at"]
        assert scheduled["waiting_for"] == {"reason": "processor", "until": scheduled["run_at"]}

        async def is_queued() -> bool:
            return bool((await store.get(task["id"]))["status"] == "queued")

        await eventually(is_queued)
        await store.published(4)
        assert [item["dispatch"] for item in await store.work_items()] == [2]
        events = await store.events(task["id"])
        assert [event["data"].get("reason") for event in events] == [None, "process", "unknown_kind", "due"]
        assert events[3]["time"] >= scheduled["run_at"]


async def test_hello_makes_the_consumers_of_its_queues(store: StoreClient) -> None:
    """A processor may pull from a queue that has no task yet."""
    await store.report(hello("web"))

    expected = {f"work-web-{priority}" for priority in ("critical", "high", "medium", "low")}

    async def is_there() -> bool:
        infos = await store.session.client.jetstream().consumers_info(WORK_STREAM)
        return expected <= {info.name for info in infos}

    await eventually(is_there)


async def test_queues_are_limited(database_url: str, nats_url: str) -> None:
    """Tasks, edits and hellos bring queues into being up to the limit, and no further."""
    async with store_with_client(database_url, nats_url, max_queues=2) as store:
        await store.create(queue="one")
        await store.report(hello("two", "three"))
        task = await store.create(queue="two")
        for queue in ("three", "default"):
            assert await store.refusal(registry.CREATE, id=new_id(), title="x", queue=queue) == "too_many_queues"
            changes = {"queue": queue}
            assert await store.refusal(registry.UPDATE, id=task["id"], changes=changes) == "too_many_queues"


async def test_what_cannot_be_read_is_dropped(store: StoreClient) -> None:
    """Garbage in the stream leaves it, and the store goes on."""
    for garbage in (b"", b"\xff\xfe", b"[]", b'{"processor_id":"p","reports":[{"type":"exploded"}]}'):
        await store.publish_report(garbage)
    await store.reports_settled()
    task = await store.create(process=True)
    await store.report(report("completed", task["id"]))
    assert (await store.get(task["id"]))["status"] == "completed"


async def test_one_bad_report_does_not_spoil_its_bundle(store: StoreClient) -> None:
    """The readable reports beside an unreadable one are applied."""
    first, second = await store.create(process=True), await store.create(process=True)
    await store.report(
        report("completed", first["id"]),
        report("completed", first["id"], delivery=0),
        report("completed", second["id"]),
    )
    assert [(await store.get(task["id"]))["status"] for task in (first, second)] == ["completed"] * 2


REFUSE_SOME = (
    """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION USING ERRCODE = 'data_exception'; END $$""",
    """CREATE TRIGGER refuse BEFORE UPDATE ON tasks FOR EACH ROW WHEN (OLD.title = 'bad' AND NEW.status = 'completed')
    EXECUTE FUNCTION refuse()""",
    """CREATE TRIGGER refuse_new BEFORE INSERT ON tasks FOR EACH ROW WHEN (NEW.title = 'worse')
    EXECUTE FUNCTION refuse()""",
)


async def test_a_row_that_postgresql_refuses_fails_alone(store: StoreClient, database_url: str) -> None:
    """Of a bundle and of a burst of requests, all but the refused one are committed."""
    await run_sql(database_url, *REFUSE_SOME)
    good, bad, other = [await store.create(process=True, title=title) for title in ("good", "bad", "other")]
    await store.report(*(report("completed", task["id"]) for task in (good, bad, other)))
    statuses = [(await store.get(task["id"]))["status"] for task in (good, bad, other)]
    assert statuses == ["completed", "queued", "completed"]
    assert await store.refusal(registry.CREATE, id=new_id(), title="worse") == "internal_error"
    assert (await store.create(title="fine"))["title"] == "fine"


@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1969-12-31T00:00:00Z"])
async def test_a_time_that_cannot_be_is_not_stored(store: StoreClient, instant: str) -> None:
    """Such a report is left out: PostgreSQL would keep an instant that Python cannot read back."""
    task = await store.create(process=True)
    await store.report(report("started", task["id"], started_at=instant), report("completed", task["id"], delivery=2))
    assert (await store.get(task["id"]))["status"] == "completed"
    assert await store.refusal(registry.LIST, filter={"created_after": instant}) == "invalid_request"


async def test_the_largest_bundle_is_taken_in(store: StoreClient) -> None:
    """Some hundred kilobytes of reports in one message are applied together."""
    ids = [new_id() for _ in range(500)]
    await store.ask(registry.CREATE_MANY, tasks=[{"id": task_id, "title": "x", "process": True} for task_id in ids])
    reports = [report("completed", task_id, result="r" * 1_200) for task_id in ids]
    bundle = orjson.dumps({"processor_id": "processor-1", "reports": reports})
    assert 600_000 < len(bundle) < 768 * 1024
    await store.publish_report(bundle)
    await store.reports_settled()
    page = await store.ask(registry.LIST, filter={"status": ["completed"]}, limit=200)
    assert len(page["items"]) == 200
    assert page["next_cursor"] is not None


async def test_reports_are_acknowledged_after_the_commit(store: StoreClient) -> None:
    """When a bundle has left the stream, what it says is visible."""
    task = await store.create(process=True)
    await store.report(report("completed", task["id"]))
    assert await store.count(REPORTS_STREAM) == 0
    assert (await store.get(task["id"]))["status"] == "completed"


async def publish(store: StoreClient, *reports: Document) -> None:
    """A bundle, which need not be taken in at once."""
    await store.publish_report(orjson.dumps({"processor_id": "processor-1", "reports": reports}))


def early_of(operation: Operation) -> tuple[RunReport, ...]:
    """The reports of a bundle, all of which are too early."""
    assert isinstance(operation, ReportBundle)
    return tuple(it for it in operation.reports if not isinstance(it, Hello))


@asynccontextmanager
async def taking_in(
    nats_url: str, commit: Callable[[Sequence[Operation]], Awaitable[Sequence[Answer | TaskmillError]]]
) -> AsyncIterator[StoreClient]:
    """Yield a client beside an intake of reports, of which `commit` says what becomes."""
    writes = BatchingMailbox("writes", commit, capacity=10, max_batch=10, deadline_seconds=60)
    async with store_client(nats_url) as client:
        await ensure_stream(client.session, reports_stream(1024 * 1024))
        await ensure_consumer(client.session, reports_consumer())
        async with running(writes), running(ReportIntake(client.session, writes, greet=lambda *_: None)):
            yield client


async def test_a_bundle_in_hand_comes_to_nobody_else(nats_url: str) -> None:
    """While its store lives, however long it takes; one that is dead says nothing, and its bundles come again soon."""
    is_committed = asyncio.Event()

    async def commit(operations: Sequence[Operation]) -> Sequence[Answer]:
        await is_committed.wait()
        return [Answer() for _ in operations]

    writes = BatchingMailbox("writes", commit, capacity=10, max_batch=10, deadline_seconds=60)
    async with store_client(nats_url) as client:
        await ensure_stream(client.session, reports_stream(1024 * 1024))
        await ensure_consumer(client.session, replace(reports_consumer(), ack_wait_seconds=1.5 * IN_HAND_SECONDS))
        said: list[bytes] = []
        client.session.subscribe("$JS.ACK.>", lambda _subject, _reply, body, _headers: said.append(body))
        intake = ReportIntake(client.session, writes, greet=lambda *_: None)
        async with running(writes), running(intake):
            completed = report("completed", new_id(), result=None)
            await client.publish_report(orjson.dumps({"processor_id": "processor-1", "reports": [completed]}))
            await eventually(lambda: said.count(b"+WPI") >= 2)
            is_committed.set()
            await client.reports_settled()
            assert intake.redelivered == 0


async def test_the_time_without_a_database_is_no_time_in_which_others_are_late(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for other reports waits for them anew: they could not be taken in, either."""
    monkeypatch.setattr(report_intake, "Patience", partial(Patience, 0.5))
    offered: list[Operation] = []

    async def commit(operations: Sequence[Operation]) -> Sequence[Answer | TaskmillError]:
        offered.extend(operations)
        if len(offered) == 2:
            return [DatabaseUnavailableError() for _ in operations]
        if len(offered) > 3:
            return [Answer() for _ in operations]
        return [Answer(early=early_of(it)) for it in operations]

    async with taking_in(nats_url, commit) as client:
        await client.report(report("completed", new_id(), logged=1))
    assert list(map(type, offered)) == 4 * [ReportBundle]


async def test_the_time_without_nats_is_no_time_in_which_others_are_late(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come by NATS."""
    monkeypatch.setattr(report_intake, "Patience", partial(Patience, 0.5))
    offered: list[Operation] = []
    is_back = False
    offered_since: list[Operation] = []

    async def commit(operations: Sequence[Operation]) -> Sequence[Answer | TaskmillError]:
        offered.extend(operations)
        if is_back:
            offered_since.extend(operations)
        if len(offered_since) > 1:
            return [Answer() for _ in operations]
        return [Answer(early=early_of(it)) for it in operations]

    async with taking_in(nats_server.url, commit) as client:
        loop = asyncio.get_running_loop()
        await publish(client, report("completed", new_id(), logged=1))
        await eventually(lambda: offered)
        over_at = loop.time() + 0.6
        await nats_server.stop()
        await eventually(lambda: loop.time() > over_at)
        is_back = True
        await nats_server.start()
        await eventually(lambda: len(offered_since) == 2, within_seconds=20)
        await client.reports_settled()
    assert list(map(type, offered)) == len(offered) * [ReportBundle]


async def test_a_store_that_ends_leaves_to_others_what_waits(nats_url: str) -> None:
    """At once, however long it would have waited."""
    offered: list[Operation] = []

    async def keep_waiting(operations: Sequence[Operation]) -> Sequence[Answer]:
        offered.extend(operations)
        return [Answer(early=early_of(it)) for it in operations]

    async def commit(operations: Sequence[Operation]) -> Sequence[Answer]:
        return [Answer() for _ in operations]

    async with taking_in(nats_url, keep_waiting) as client:
        await publish(client, report("completed", new_id(), logged=1))
        await eventually(lambda: offered)
    async with taking_in(nats_url, commit) as client:
        await client.reports_settled()


async def test_what_waits_holds_up_nothing_else(store: StoreClient) -> None:
    """More bundles than a store has in hand at a time, each with an end whose lines are not there."""
    page = await store.ask(
        registry.CREATE_MANY,
        tasks=[
            {"id": new_id(), "title": "x", "process": True}
            for _ in range(MAX_BUNDLES_IN_HAND + MAX_BUNDLES_WAITING + 10)
        ],
    )
    ids = [task["id"] for task in page["items"]]
    for task_id in ids:
        await publish(store, report("started", task_id))
        await publish(store, report("completed", task_id, logged=1))
    await store.reports_looked_at()
    lines = [{"at": STARTED_AT, "level": "info", "text": "a"}]
    await store.report(*(report("logged", task_id, first_number=1, lines=lines) for task_id in ids))
    types = [await store.event_types(task_id) for task_id in ids]
    assert types == len(ids) * [["created", "queued", "started", "logged", "completed"]]
