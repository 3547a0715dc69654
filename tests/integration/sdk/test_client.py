"""Every method of both clients, against real services."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from taskmill.cli.embedded.ports import free_port
from taskmill.contracts.bulk_operations import BulkOperation
from taskmill.contracts.events import EventType
from taskmill.contracts.limits import MAX_BATCH_TASKS
from taskmill.contracts.tasks import Task
from taskmill.contracts.webhooks import Delivery, Webhook
from taskmill.sdk import Context, RetryBackoff, TaskApp, TaskFailedError
from taskmill.sdk.client import (
    AlreadyFinishedError,
    Event,
    EventsGoneError,
    ForbiddenError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    LogSetBackError,
    NoAnswerError,
    NotFoundError,
    PreconditionFailedError,
    QueueFullError,
    RunActiveError,
    RunCancelledError,
    RunFailedError,
    TaskNotFoundError,
    TaskToSubmit,
    UnauthorizedError,
    UnavailableError,
    WaitTimeoutError,
)
from tests.support.clients import KINDS, Losses, client_of_kind
from tests.support.eventually import eventually, holds
from tests.support.removed_events import remove_all_events
from tests.support.running_service import running_service
from tests.support.services import Services, running_gateway, running_services, task_store

WHOLE_LIFE = ["created", "queued", "started", "completed"]
OpenClient = Callable[..., AbstractAsyncContextManager[Any]]

app = TaskApp("test")


@app.task("talk")
async def talk(payload: Any, ctx: Context) -> None:
    """Write lines."""
    for number in range(payload):
        ctx.log.info("spoken", number=number)


@app.task("fail")
async def fail(payload: Any, ctx: Context) -> None:  # noqa: ARG001
    """Fail."""
    raise TaskFailedError("no_luck", "It did not work.")


@pytest_asyncio.fixture
async def services(database_url: str, nats_url: str) -> AsyncIterator[Services]:
    """Everything, with some handlers."""
    async with running_services(database_url, nats_url, apps=[app]) as services:
        yield services


@pytest.fixture(params=KINDS)
def open_client(request: pytest.FixtureRequest, services: Services) -> OpenClient:
    """Opens a client of either kind."""
    return partial(client_of_kind, request.param, str(services.client.base_url))


@pytest_asyncio.fixture
async def client(open_client: OpenClient) -> AsyncIterator[Any]:
    """A client of either kind."""
    async with open_client() as client:
        yield client


async def _all(iterator: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in iterator]


def _types(events: list[Event]) -> list[str]:
    return [event.type for event in events]


async def test_a_task_is_submitted_and_read(client: Any) -> None:
    """With all that may be said of it; what it comes to is there after a wait."""
    options = {
        "title": "a title",
        "description": "a description",
        "priority": "high",
        "labels": {"team": "web"},
        "max_attempts": 3,
        "backoff": RetryBackoff(base_seconds=1),
        "timeout_seconds": 10,
    }
    task = await client.submit("echo", {"a": [1, None, "ü"]}, **options)
    assert isinstance(task, Task)
    assert {name: getattr(task, name) for name in options} == options
    task = await client.get(task.id, wait=20)
    assert (task.status, task.result) == ("completed", {"a": [1, None, "ü"]})
    assert await client.get(str(task.id)) == task


async def test_a_task_is_submitted_to_wait(client: Any) -> None:
    """For somebody who has it processed, or for its time; its title is its kind if none is given."""
    task = await client.submit("echo", process=False)
    assert (task.status, task.title) == ("pending", "echo")
    done = await client.process(task.id, wait=20)
    assert (done.status, done.run) == ("completed", 1)
    later = await client.submit("echo", run_at=datetime.now(UTC) + timedelta(hours=1))
    assert later.status == "scheduled"
    assert (await client.submit("echo", 5, wait=20)).result == 5


async def test_many_tasks_are_submitted(client: Any) -> None:
    """Also more than fit one request; in their order, each once, also when asked again under the same key."""
    count = MAX_BATCH_TASKS + 1
    tasks: list[TaskToSubmit] = [{"kind": "echo", "title": f"{number}"} for number in range(count)]
    receipts = await client.submit_many(tasks, process=False, idempotency_key="many")
    assert [receipt.title for receipt in receipts] == [task["title"] for task in tasks]
    assert await client.submit_many(tasks, process=False, idempotency_key="many") == receipts
    listed = await _all(client.list(sort="created_at"))
    assert {task.id for task in listed} == {receipt.id for receipt in receipts}
    assert len(listed) == count
    assert await client.submit_many([]) == []


async def test_some_of_many_are_stored(client: Any) -> None:
    """The error says how many; those that were wrong are told by their place in their request."""
    tasks: list[TaskToSubmit] = [{"kind": "echo"} for _ in range(MAX_BATCH_TASKS)]
    with pytest.raises(InvalidRequestError) as raised:
        await client.submit_many([*tasks, {"kind": "NO KIND"}], process=False)
    assert raised.value.__notes__ == [
        f"The first {MAX_BATCH_TASKS} tasks are stored. The same tasks under the same key go on there."
    ]
    assert [part.pointer for part in raised.value.errors] == ["/tasks/0/kind"]


async def test_a_run_is_waited_for(client: Any) -> None:
    """It returns what came out, or raises with the task."""
    assert (await client.run("echo", {"hello": "world"})).result == {"hello": "world"}
    with pytest.raises(RunFailedError, match="no_luck: It did not work") as failed:
        await client.run("fail")
    assert failed.value.task.status == "failed"
    with pytest.raises(WaitTimeoutError) as late:
        await client.run("sleep", {"seconds": 600}, within_seconds=0.5, title="long")
    task = late.value.task
    assert task is not None
    assert task.status in {"queued", "in_progress"}
    await client.cancel(task.id)


async def test_a_run_is_cancelled(client: Any) -> None:
    """By somebody else, while it is waited for."""
    running = asyncio.ensure_future(client.run("sleep", {"seconds": 600}, title="to cancel"))

    async def cancel() -> bool:
        return bool([await client.cancel(task.id) async for task in client.list(title="to cancel")])

    await eventually(cancel)
    with pytest.raises(RunCancelledError) as raised:
        await running
    assert raised.value.task.status == "cancelled"


async def test_a_task_is_read_if_it_has_changed(client: Any) -> None:
    """None says that it has not; with a wait, the change is waited for."""
    task = await client.submit("echo", process=False)
    assert await client.get(task.id, if_none_match=task.revision) is None
    waiting = asyncio.ensure_future(client.get(task.id, if_none_match=task.revision, wait=20))
    changed = await client.update(task.id, title="changed")
    assert (await waiting).revision == changed.revision > task.revision


async def test_a_task_is_changed(client: Any) -> None:
    """If it is as it was seen, or whatever it is; objects merge, None clears."""
    task = await client.submit("echo", {"a": 1}, labels={"team": "web"}, description="d", process=False)
    changed = await client.update(
        task.id, if_match=task.revision, labels={"owner": "ada"}, description=None, payload={"b": 2}
    )
    assert (changed.labels, changed.description) == ({"team": "web", "owner": "ada"}, None)
    assert changed.payload == {"a": 1, "b": 2}
    with pytest.raises(PreconditionFailedError):
        await client.update(task.id, if_match=task.revision, title="too late")
    assert (await client.update(task.id, title="in time", status="completed")).status == "completed"


async def test_a_task_is_cancelled(client: Any) -> None:
    """Once; there is nothing to cancel then."""
    task = await client.submit("echo", run_at=datetime.now(UTC) + timedelta(hours=1))
    with pytest.raises(PreconditionFailedError):
        await client.cancel(task.id, if_match=task.revision + 1)
    assert (await client.cancel(task.id, if_match=task.revision)).status == "cancelled"
    with pytest.raises(AlreadyFinishedError):
        await client.cancel(task.id)


async def test_a_task_is_deleted(client: Any) -> None:
    """While it is processed only by force; then it is not there."""
    task = await client.submit("sleep", {"seconds": 600})
    with pytest.raises(RunActiveError):
        await client.delete(task.id)
    await client.delete(task.id, force=True)
    for attempt in (client.get, client.delete, client.process):
        with pytest.raises(TaskNotFoundError):
            await attempt(task.id)


async def test_tasks_are_listed(client: Any) -> None:
    """Those that meet all conditions, over as many pages as it takes."""
    others = [{"kind": "other", "queue": "q", "priority": "low", "labels": {"team": "web", "x": "y"}}]
    tasks = [{"kind": "echo", "title": f"Number {number}"} for number in range(5)]
    receipts = await client.submit_many([*tasks, *others], process=False)
    other_id = receipts[-1].id
    assert [task.id for task in await _all(client.list(page_size=2))] == [it.id for it in reversed(receipts)]
    assert (await client.count(status="pending")) == {"pending": len(receipts)}
    for conditions in (
        {"kind": "other", "queue": "q", "priority": "low"},
        {"labels": {"team": "web", "x": None}},
        {"title": "oTHe"},
        {"status": ["pending", "failed"], "kind": "other"},
        {"status": "pending", "created_after": receipts[-1].created_at, "kind": "other"},
    ):
        assert [task.id for task in await _all(client.list(**conditions))] == [other_id], conditions
    assert await _all(client.list(created_before=receipts[0].created_at)) == []
    with pytest.raises(InvalidRequestError):
        await _all(client.list(page_size=1_000))


async def test_what_happened(client: Any) -> None:
    """To one task, and to all, from a position on, and only what is wanted."""
    first = await client.submit("echo", "a\u2028b", wait=20)
    second = await client.submit("echo", labels={"team": "web"}, queue="other", process=False)
    history = await _all(client.events(first.id))
    assert _types(history) == WHOLE_LIFE
    assert [event.version for event in history] == [1, 2, 3, 4]
    assert history[-1].data["result"] == "a\u2028b"
    log = await _all(client.events())
    assert [event.position for event in log] == [1, 2, 3, 4, 5]
    assert await _all(client.events(after=3)) == log[3:]
    assert _types(await _all(client.events(types=["queued", EventType.COMPLETED]))) == ["queued", "completed"]
    assert await _all(client.events(types="completed")) == log[3:4]
    for conditions in ({"queue": "other"}, {"labels": {"team": "web"}}, {"labels": {"team": None}}):
        assert [event.task_id for event in await _all(client.events(**conditions))] == [second.id]
    assert await _all(client.events(kind="none")) == []
    with pytest.raises(LogSetBackError) as raised:
        await _all(client.events(after=6))
    assert raised.value.resume_after == 5


async def test_lines_and_attempts(client: Any) -> None:
    """Over as many pages as it takes."""
    task = await client.run("talk", 250)
    lines = await _all(client.logs(task.id))
    assert [line.text for line in lines] == [f"spoken number={number}" for number in range(250)]
    [attempt] = await _all(client.attempts(task.id))
    assert (attempt.attempt, attempt.outcome) == (1, "completed")
    for iterate in (client.logs, client.attempts):
        with pytest.raises(TaskNotFoundError):
            await _all(iterate(uuid4()))


async def test_a_task_is_watched_to_its_end(client: Any) -> None:
    """Its whole history, then what happens; also from a position on, and when it has ended before."""
    task = await client.submit("sleep", {"seconds": 0.2, "steps": 1}, title="a\u2028b")
    events = await _all(client.watch(task.id))
    assert [event.version for event in events] == list(range(1, len(events) + 1))
    assert (events[0].data["title"], events[-1].type) == ("a\u2028b", "completed")
    assert await _all(client.watch(str(task.id))) == events
    assert await _all(client.watch(task.id, after=events[1].position)) == events[2:]
    assert await _all(client.watch(task.id, after=events[-1].position)) == []
    assert _types(await _all(client.watch(task.id, types=["started"]))) == ["started"]
    assert _types(await _all(client.watch(task.id, types="completed"))) == ["completed"]


async def test_a_task_that_was_processed_again(client: Any) -> None:
    """An end that is not the last one ends nothing; what was edited or deleted after it is handed out, too."""
    task = await client.submit("echo", wait=20)
    await client.process(task.id, wait=20)
    events = await _all(client.watch(task.id))
    assert _types(events) == [*WHOLE_LIFE, *WHOLE_LIFE[1:]]
    await client.update(task.id, title="edited")
    assert _types(await _all(client.watch(task.id)))[7:] == ["updated"]
    await client.delete(task.id)
    events = await _all(client.watch(task.id))
    assert _types(events)[7:] == ["updated", "deleted"]
    with pytest.raises(TaskNotFoundError):
        await _all(client.watch(task.id, after=events[-1].position))


async def test_a_task_that_nobody_knows(client: Any) -> None:
    """It is not waited for."""
    with pytest.raises(TaskNotFoundError):
        await _all(client.watch(uuid4()))


async def test_the_log_is_watched(client: Any) -> None:
    """From now on, or from a position on; only what is wanted."""
    before = await client.submit("echo", process=False)
    seen: list[Event] = []

    async def watch() -> None:
        async with aclosing(client.watch(kind="talk", types=["created", "completed"])) as events:
            async for event in events:
                seen.append(event)
                if _types([one for one in seen if one.task_id == event.task_id]) == ["created", "completed"]:
                    return

    watching = asyncio.ensure_future(watch())

    async def is_seen() -> bool:
        await client.submit("talk", 0)
        return bool(seen)

    await eventually(is_seen, every_seconds=0.2)
    await watching
    assert before.id not in {event.task_id for event in seen}
    assert set(_types(seen)) == {"created", "completed"}

    async with aclosing(client.watch(after=0)) as events:
        first = await anext(events)
    assert (first.position, first.task_id) == (1, before.id)


async def test_a_watch_that_cannot_go_on(client: Any) -> None:
    """It says so: what is missed is never passed over."""
    await client.submit("echo", process=False)
    with pytest.raises(LogSetBackError):
        await _all(client.watch(after=1_000))


async def test_events_that_were_removed(client: Any, database_url: str) -> None:
    """Who was in the middle of them is told; who begins gets what is kept; a task that has ended has ended."""
    task = await client.submit("echo", wait=20)
    await remove_all_events(database_url)
    kept = await client.submit("echo", process=False)
    assert [event.task_id for event in await _all(client.events())] == [kept.id]
    async with aclosing(client.watch(after=0)) as events:
        assert (await anext(events)).task_id == kept.id
    for iterate in (client.watch, client.events):
        with pytest.raises(EventsGoneError) as raised:
            await _all(iterate(after=1))
        assert raised.value.resume_after == 4
    assert await _all(client.watch(task.id)) == []


async def test_a_watch_comes_to_an_end(client: Any) -> None:
    """When it may take no longer."""
    task = await client.submit("echo", process=False)
    events = client.watch(task.id, within_seconds=0.5)
    assert (await anext(events)).type == "created"
    with pytest.raises(WaitTimeoutError):
        await anext(events)


async def test_a_lost_answer_makes_no_second_task(open_client: OpenClient) -> None:
    """The request is made again under the same key, and answered as the first time."""
    for lost in (1, 2):
        losses = Losses(lost)
        async with open_client(losses) as client:
            task = await client.submit("echo", title=f"lost {lost}", process=False)
            assert [one.id async for one in client.list(title=f"lost {lost}")] == [task.id]
        posts = [request for request in losses.requests if request.method == "POST"]
        assert len(posts) == lost + 1
        assert len({request.headers["idempotency-key"] for request in posts}) == 1
    async with open_client(Losses(1)) as client:
        assert len(await client.submit_many([{"kind": "echo", "title": "batch"}], process=False)) == 1
        assert len(await _all(client.list(title="batch"))) == 1


async def test_a_lost_answer_to_everything_else(open_client: OpenClient) -> None:
    """Each is carried out once, and comes out as if nothing had been lost."""
    async with open_client() as client:
        task = await client.submit("echo", process=False)
        scheduled = await client.submit("echo", run_at=datetime.now(UTC) + timedelta(hours=1))
    async with open_client(Losses(1)) as client:
        assert (await client.process(task.id, wait=20)).run == 1
    async with open_client(Losses(1)) as client:
        assert (await client.cancel(scheduled.id)).status == "cancelled"
    async with open_client(Losses(1)) as client:
        assert (await client.update(task.id, title="changed")).title == "changed"
    async with open_client(Losses(1)) as client:
        revision = (await client.get(task.id)).revision
    async with open_client(Losses(1)) as client:
        with pytest.raises(NoAnswerError) as raised:
            await client.update(task.id, if_match=revision, title="nobody knows")
        assert raised.value.was_sent
        assert (await client.get(task.id)).title == "nobody knows"
    async with open_client(Losses(1)) as client:
        await client.delete(task.id)
        with pytest.raises(TaskNotFoundError):
            await client.delete(task.id)


async def test_a_key_of_the_callers_own(client: Any) -> None:
    """The same request is answered as the first time, another one is refused."""
    task = await client.submit("echo", 1, process=False, idempotency_key="mine")
    assert await client.submit("echo", 1, process=False, idempotency_key="mine") == task
    with pytest.raises(IdempotencyKeyReusedError):
        await client.submit("echo", 2, process=False, idempotency_key="mine")


async def test_a_payload_that_cannot_be_json(client: Any) -> None:
    """It is refused before anything is sent, or by the API."""
    with pytest.raises(ValueError, match="serialize"):
        await client.submit("echo", object())
    with pytest.raises(InvalidRequestError):
        await client.submit("echo", float("nan"))


async def test_limits_and_shares(open_client: OpenClient) -> None:
    """They are set, read, listed and deleted; a task has its key, and lists find it."""
    async with open_client() as client:
        limit = await client.put_limit("a-limit", kind="talk", concurrency_key="*", rate={"tasks": 5, "seconds": 0.5})
        assert (limit.max_in_progress, limit.rate.tasks, limit.concurrency_key) == (None, 5, "*")
        assert await client.limit("a-limit") == limit
        assert await _all(client.limits()) == [limit]
        with pytest.raises(InvalidRequestError):
            await client.put_limit("nothing")
        await client.delete_limit("a-limit")
        with pytest.raises(NotFoundError):
            await client.limit("a-limit")

        share = await client.put_share("t%nant?", 2.5)
        assert (share.concurrency_key, share.weight) == ("t%nant?", 2.5)
        assert await client.share("t%nant?") == share
        assert await _all(client.shares()) == [share]
        await client.delete_share("t%nant?")
        with pytest.raises(NotFoundError):
            await client.share("t%nant?")

        task = await client.submit("echo", concurrency_key="t%nant?", wait=20)
        assert (task.status, task.concurrency_key) == ("completed", "t%nant?")
        assert [found.id for found in await _all(client.list(concurrency_key="t%nant?"))] == [task.id]


@pytest.mark.parametrize("kind", KINDS)
async def test_who_follows_waits_for_a_gateway(kind: str, nats_url: str, database_url: str) -> None:
    """Also at the beginning, longer than any other request is made again; what happens then is not missed."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with client_of_kind(kind, url, retry_within_seconds=0.1, attempts=2) as early:
        with pytest.raises(NoAnswerError):
            await early.submit("echo")
        async with aclosing(early.watch(reconnect_within_seconds=30)) as events:
            following = asyncio.ensure_future(anext(events))
            await asyncio.wait({following}, timeout=0.5)
            assert not following.done()
            async with (
                running_service(await task_store(database_url, nats_url)),
                running_gateway(nats_url, port=port) as http,
            ):

                async def hears() -> None:
                    await http.post("/tasks", json={"title": "t"})
                    await asyncio.wait({following}, timeout=0.5)
                    assert following.done()

                await holds(hears, within_seconds=20)
                assert following.result().type == "created"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_store_is_waited_for(kind: str, database_url: str, nats_url: str) -> None:
    """As long as the API says between two attempts; who makes only one is told."""
    losses = Losses()
    async with running_gateway(nats_url) as http, client_of_kind(kind, str(http.base_url), losses) as client:
        async with client_of_kind(kind, str(http.base_url), attempts=1) as hasty:
            with pytest.raises(UnavailableError) as raised:
                await hasty.submit("echo")
        assert raised.value.retry_after_seconds == 1
        submitting = asyncio.ensure_future(client.submit("echo"))
        await eventually(lambda: losses.statuses == [httpx.codes.SERVICE_UNAVAILABLE])
        async with running_service(await task_store(database_url, nats_url)):
            assert (await submitting).status == "queued"
        assert losses.statuses[-1] == 201
        assert all(later - earlier >= 1 for earlier, later in pairwise(losses.at))


async def test_api_keys(client: Any, open_client: OpenClient) -> None:
    """One is made, opens what it should, and is revoked."""
    expires_at = datetime.now(UTC) + timedelta(days=1)
    made = await client.create_key("reader", ["tasks:read"], expires_at=expires_at)
    assert (made.name, made.scopes, made.expires_at) == ("reader", ["tasks:read"], expires_at)
    assert [key.id for key in await _all(client.keys())] == [made.id]
    async with open_client(api_key=made.key) as reader:
        assert await _all(reader.list()) == []
        with pytest.raises(ForbiddenError, match="tasks:write"):
            await reader.submit("echo")
        assert (await client.revoke_key(made.id)).revoked_at is not None
        with pytest.raises(UnauthorizedError):
            await _all(reader.list())
    with pytest.raises(NotFoundError):
        await client.revoke_key("no/key")


async def test_the_fleet(client: Any) -> None:
    """Who is there, what waits, and a pause, which a task waits for."""
    await client.submit("echo", wait=20)
    [processor] = await _all(client.processors())
    assert "echo" in processor.kinds
    kinds = {kind.kind: kind for kind in await _all(client.kinds())}
    assert list(kinds) == sorted(processor.kinds)
    assert (kinds["sleep"].is_served, "seconds" in kinds["sleep"].payload_schema["properties"]) == (True, True)
    assert (await client.pause_queue("default")).is_paused
    waiting = await client.submit("echo")
    [queue] = [queue for queue in await _all(client.queues()) if queue.name == "default"]
    assert (queue.is_paused, queue.depth.medium, queue.processors) == (True, 1, [processor.id])
    health = await client.health()
    assert (health.status, health.fleet.processors, health.fleet.paused_queues) == ("ok", 1, 1)
    assert not (await client.resume_queue("default")).is_paused
    assert (await client.get(waiting.id, wait=20)).status == "completed"
    with pytest.raises(NotFoundError):
        await client.resume_queue("no/where")
    with pytest.raises(NotFoundError):
        await client.drain_processor("nobody")
    await client.drain_processor(processor.id)

    async def is_draining() -> bool:
        return all([one.is_draining async for one in client.processors()])

    await eventually(is_draining)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_done(kind: str, database_url: str, nats_url: str) -> None:
    """What a store did is told once it has written it down, as it does before it ends."""
    async with running_gateway(nats_url) as http, client_of_kind(kind, str(http.base_url)) as client:
        async with running_service(await task_store(database_url, nats_url)):
            await client.submit("echo", process=False)
        async with running_service(await task_store(database_url, nats_url)):
            minutes = await client.activity(minutes=5)
            assert [(minute.created, minute.completed) for minute in minutes] == [(1, 0)]
            with pytest.raises(InvalidRequestError):
                await client.activity(minutes=0)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_part_is_down(kind: str, nats_url: str) -> None:
    """Who asks for the health is told; that is no error."""
    async with running_gateway(nats_url) as http, client_of_kind(kind, str(http.base_url), attempts=1) as client:
        health = await client.health()
        assert (health.status, health.components.nats, health.components.store) == ("degraded", "up", "down")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_full_queue_is_waited_for(kind: str, database_url: str, nats_url: str) -> None:
    """As long as the API says, and no longer than the caller does."""
    async with running_services(database_url, nats_url, processors=0, max_queued_tasks=1) as services:
        url, losses = str(services.client.base_url), Losses()
        async with client_of_kind(kind, url, losses) as client:
            first: Task = await client.submit("echo")
            with pytest.raises(QueueFullError) as raised:
                async with client_of_kind(kind, url, retry_within_seconds=1) as hasty:
                    await hasty.submit("echo")
            assert raised.value.retry_after_seconds == 5
            submitting = asyncio.ensure_future(client.submit("echo"))
            await eventually(lambda: losses.statuses == [201, httpx.codes.TOO_MANY_REQUESTS])
            await services.client.post(f"/tasks/{first.id}/cancel")
            assert (await submitting).status == "queued"
            assert losses.statuses == [201, httpx.codes.TOO_MANY_REQUESTS, 201]
            assert 5 <= losses.at[2] - losses.at[1] < 6


async def test_many_tasks_at_once(client: Any) -> None:
    """They are chosen by conditions or by ids; how far it is can be read; the same under a key is done once."""

    async def completed(operation: BulkOperation) -> BulkOperation:
        async def read() -> BulkOperation:
            found: BulkOperation = await client.bulk_operation(operation.id)
            assert found.status == "completed"
            return found

        return await holds(read)

    label = {"bulk": uuid4().hex}
    ids = [(await client.submit("echo", process=False, labels=label)).id for _ in range(2)]
    counted = await completed(await client.bulk("process", status="pending", labels=label, dry_run=True))
    assert (counted.counts.matched, counted.counts.done, counted.dry_run) == (2, 0, True)
    conditions = {"status": ["pending"], "labels": {"bulk": None}, "created_after": datetime.now(UTC) - timedelta(1)}
    begun = await client.bulk("process", **conditions, idempotency_key=f"k{label['bulk']}")
    assert (await completed(begun)).counts.done == 2
    deleted = await completed(await client.bulk("delete", [ids[0], str(ids[1])], force=True))
    assert (deleted.id_count, deleted.counts.done) == (2, 2)
    nothing: list[dict[str, Any]] = [{}, {"ids": []}]
    for wrong in nothing:
        with pytest.raises(InvalidRequestError):
            await client.bulk("delete", **wrong)
    with pytest.raises(NotFoundError):
        await client.bulk_operation(uuid4())


async def test_schedules(client: Any) -> None:
    """They are created, read, changed, paused, run, made up for, and deleted."""
    made = await client.create_schedule(
        "Nightly", {"kind": "echo", "payload": {"a": 1}}, cron="0 3 * * *", time_zone="Europe/Berlin", overlap="skip"
    )
    assert (made.timing, made.template.title) == ("At 03:00 every day, Europe/Berlin", "Nightly")
    assert [one.id async for one in client.schedules()] == [made.id]
    assert (await client.next_times(made.id))[0] == made.next_fire_at
    assert len(await client.next_times(made.id, count=3)) == 3
    changed = await client.update_schedule(made.id, if_match=1, template={"payload": {"b": 2}}, is_paused=True)
    assert (changed.template.payload, changed.next_fire_at, changed.revision) == ({"a": 1, "b": 2}, None, 2)
    with pytest.raises(PreconditionFailedError):
        await client.update_schedule(made.id, if_match=1, name="Other")
    with pytest.raises(InvalidRequestError):
        await client.update_schedule(made.id, cron="0 0 30 2 *")
    assert await client.schedule(str(made.id)) == changed
    ran = await client.run_schedule(made.id, idempotency_key="now")
    assert (await client.run_schedule(made.id, idempotency_key="now")).id == ran.id
    span = {"since": datetime.now(UTC) - timedelta(days=2), "until": datetime.now(UTC)}
    filled = await client.backfill_schedule(made.id, **span)
    assert (filled.created, filled.existing) == (2, 0)
    assert (await client.backfill_schedule(made.id, **span)).existing == 2
    fires = [fire async for fire in client.fires(made.id)]
    assert [fire.origin for fire in fires] == ["manual", "backfill", "backfill"]
    tasks = [task.id async for task in client.list(schedule_id=made.id)]
    assert {fire.task_id for fire in fires} == set(tasks)
    assert (await client.get(ran.id, wait=20)).result == {"a": 1, "b": 2}
    await client.delete_schedule(made.id)
    for gone in (client.schedule(made.id), client.run_schedule(made.id), client.next_times(made.id)):
        with pytest.raises(NotFoundError):
            await gone


async def test_groups(client: Any) -> None:
    """They are made, followed by the task for their outcome, and found with their tasks; others come after that."""
    tasks: list[TaskToSubmit] = [{"kind": "echo", "payload": number, "title": f"n{number}"} for number in range(3)]
    group = await client.create_group("Three", tasks, on_completed={"kind": "echo"}, on_failed={"kind": "echo"})
    last = await client.submit("echo", wait=30, after=[group.on_completed_id])
    assert last.status == "completed"
    found = await client.group(group.id)
    assert (found.status, found.progress, found.counts.completed) == ("completed", 1, 3)
    listed = [task.title async for task in client.list(group_id=group.id, sort="created_at")]
    assert listed == ["n0", "n1", "n2"]
    assert group.id in [one.id async for one in client.groups()]
    never = await client.submit("echo", wait=30, after={group.on_failed_id}, on_dependency_failure="cancel")
    assert never.status == "cancelled"
    with pytest.raises(InvalidRequestError):
        await client.submit("echo", after=[uuid4()])
    with pytest.raises(NotFoundError):
        await client.group(uuid4())


async def test_webhooks(client: Any) -> None:
    """They are created, read, changed, told of, given another secret, and deleted."""
    secret = "whsec_" + "A" * 32
    made = await client.create_webhook(
        "http://127.0.0.1:9/x", types=["completed"], labels={"team": "web", "z": None}, secret=secret, is_enabled=False
    )
    assert (made.secret, made.labels, made.is_enabled) == (secret, ["team:web", "z"], False)
    assert [one.id async for one in client.webhooks()] == [made.id]
    changed = await client.update_webhook(made.id, if_match=1, labels=None, description="mine", is_enabled=True)
    assert (changed.labels, changed.description, changed.types, changed.revision) == ([], "mine", ["completed"], 2)
    with pytest.raises(PreconditionFailedError):
        await client.update_webhook(made.id, if_match=1, kind="echo")
    rotated = await client.rotate_webhook_secret(made.id, if_match=2)
    assert (rotated.secret_count, rotated.secret != secret) == (2, True)
    assert await client.webhook(str(made.id)) == Webhook.model_validate(rotated.model_dump())
    done = await client.submit("echo", wait=20, labels={"replayed": "me"})
    replay = await client.replay_to_webhook(made.id, after=0, types="completed", labels={"replayed": "me"})

    async def told() -> None:
        found = await client.replay(replay.id)
        assert (found.status, found.told, found.labels) == ("completed", 1, ["replayed:me"])

    await holds(told)

    async def is_tried() -> Delivery:
        # The event itself, and its replay; neither can be sent to an address of this machine.
        deliveries = [one async for one in client.deliveries(made.id)]
        assert {one.event_id.partition(".")[0] for one in deliveries} == {str(done.id)}
        assert [one.status for one in deliveries] == ["scheduled", "scheduled"]
        found: Delivery = deliveries[0]
        return found

    delivery = await holds(is_tried, within_seconds=20)
    again = await client.redeliver(made.id, delivery.task_id)
    assert again.attempt > delivery.attempt
    await client.delete_webhook(made.id)
    for gone in (client.webhook(made.id), client.delete_webhook(made.id), client.replay(uuid4())):
        with pytest.raises(NotFoundError):
            await gone


async def test_the_end_of_the_log(client: Any) -> None:
    """As many as are wanted of the newest events, oldest first, however far back; and a position to go on from."""
    label = uuid4().hex
    task = await client.submit("echo", wait=20, labels={"rare": label})
    await client.submit_many([{"kind": "echo", "process": False} for _ in range(450)])
    everything = await _all(client.events())
    last = await client.last_events(3)
    assert (last.events, last.position) == (everything[-3:], everything[-1].position)
    rare = await client.last_events(2, labels={"rare": label})
    assert _types(rare.events) == WHOLE_LIFE[-2:]
    assert _types((await client.last_events(9, labels={"rare": label})).events) == WHOLE_LIFE
    assert _types((await client.last_events(3, task.id)).events) == WHOLE_LIFE[-3:]
    assert (await client.last_events(5, task.id, types=["failed"])).events == []
    replay = await client.replay_to_subject("end", after=last.position - 3, until=last.position)
    assert (replay.subject, replay.until) == ("tasks.v1.replay.end", last.position)
