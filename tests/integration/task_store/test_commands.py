import asyncio
from typing import Any
from uuid import UUID

import orjson
import pytest

from taskmill.contracts import registry, subjects
from taskmill.contracts.errors import RemoteError
from taskmill.contracts.limits import MAX_BODY_BYTES, MAX_PAYLOAD_BYTES, MAX_RESULT_BYTES
from taskmill.contracts.requests import REPLAYED_HEADER
from taskmill.contracts.work import WorkItem
from taskmill.runtime.reply import Reply
from taskmill.runtime.requests import RequestClient
from tests.support.task_store import StoreClient, new_id, report, run_sql

RICH: dict[str, Any] = {
    "title": "Größer als 🐘",
    "description": "two\nlines",
    "priority": "critical",
    "kind": "http-request",
    "queue": "web",
    "labels": {"team": "web"},
    "payload": {"b": [1, 2.5, None], "a": "é"},
}


async def test_creating_with_process_queues_at_once(store: StoreClient) -> None:
    """One request: two events, revision 1, and a work item with the payload."""
    created = await store.create(**RICH, process=True)
    assert (created["status"], created["version"], created["revision"], created["run"]) == ("queued", 2, 1, 1)
    await store.published(2)
    (item,) = await store.work_items()
    WorkItem.model_validate_json(orjson.dumps(item))
    assert {name: item[name] for name in RICH if name != "description"} == {
        name: value for name, value in RICH.items() if name != "description"
    }
    assert (item["run"], item["attempt"], item["dispatch"]) == (1, 1, 1)


async def test_an_id_is_used_once(store: StoreClient) -> None:
    """A second task with the id of one that exists, or existed, is refused."""
    task = await store.create()
    assert await store.refusal(registry.CREATE, id=task["id"], title="again") == "task_exists"
    await store.ask(registry.DELETE, id=task["id"])
    assert await store.refusal(registry.CREATE, id=task["id"], title="again") == "task_exists"
    assert await store.event_types(task["id"]) == ["created", "deleted"]


async def test_requests_that_come_together_are_answered_each(store: StoreClient) -> None:
    """What one of them gets does not depend on the others, whether it is refused or repeated."""
    first, second = new_id(), new_id()
    key = {"key": "k", "fingerprint": "f" * 64}
    bodies = [
        orjson.dumps({"id": first, "title": "a", "process": True}),
        b"{",
        orjson.dumps({"id": first, "title": "b"}),
        orjson.dumps({"id": new_id(), "title": ""}),
        orjson.dumps({"id": second, "title": "c", "idempotency": key}),
        orjson.dumps({"id": new_id(), "title": "c", "idempotency": key}),
    ]
    requests = RequestClient(
        store.session, timeout_seconds=4, bundled={registry.CREATE.subject: subjects.bundle(registry.CREATE.subject)}
    )
    sent = [requests.request(registry.CREATE.subject, body) for body in bodies]
    replies = await asyncio.gather(*sent, return_exceptions=True)
    found = [
        reply.problem().code if isinstance(reply, RemoteError) else orjson.loads(reply.body)["id"]
        for reply in replies
        if not isinstance(reply, BaseException) or isinstance(reply, RemoteError)
    ]
    assert found == [first, "invalid_json", "task_exists", "invalid_request", second, second]
    assert isinstance(replies[5], Reply)
    assert replies[5].headers == {REPLAYED_HEADER: "true"}
    assert [message.position for message in await store.published(3)] == [1, 2, 3]


async def test_many_are_created_all_or_none(store: StoreClient) -> None:
    """One id in use, and none of the tasks exists."""
    existing = await store.create()
    tasks = [{"id": new_id(), "title": "new"}, {"id": existing["id"], "title": "again"}]
    assert await store.refusal(registry.CREATE_MANY, tasks=tasks) == "task_exists"
    assert await store.refusal(registry.GET, id=tasks[0]["id"]) == "task_not_found"


async def test_the_largest_payload_and_result_are_kept(store: StoreClient) -> None:
    """What the limits allow goes all the way: task, work item, events, pages."""
    payload = "é" * ((MAX_PAYLOAD_BYTES - 2) // 2)
    result = "r" * (MAX_RESULT_BYTES - 2)
    fields = {"description": "d" * 10_000, "labels": {f"label-{number}": "v" * 200 for number in range(32)}}
    task = await store.create(payload=payload, process=True, **fields)
    await store.published(2)
    (item,) = await store.work_items()
    assert item["payload"] == payload
    await store.report(report("completed", task["id"], result=result))
    done = await store.get(task["id"])
    assert (done["payload"], done["result"]) == (payload, result)
    texts = await store.event_texts(task["id"])
    assert [message.data for message in await store.published(4)] == texts


async def test_one_byte_more_is_refused(store: StoreClient) -> None:
    """A payload past its limit is refused with its code, and nothing is stored."""
    task_id = new_id()
    fields = {"id": task_id, "title": "x", "payload": "p" * (MAX_PAYLOAD_BYTES - 1)}
    assert await store.refusal(registry.CREATE, **fields) == "payload_too_large"
    assert await store.refusal(registry.GET, id=task_id) == "task_not_found"


@pytest.mark.parametrize("command", registry.COMMANDS, ids=lambda command: command.verb)
async def test_garbage_is_refused_and_nothing_breaks(store: StoreClient, command: registry.Command) -> None:
    """Whatever is sent to a command is answered as the caller's mistake."""
    for body in (b"", b"\xff", b"[]", b'{"colour":1}', b'{"id":[]}', b'{"a":NaN}', b"[" * 50):
        with pytest.raises(RemoteError) as refusal:
            await store.ask_raw(command, body)
        assert refusal.value.problem().code in {"invalid_json", "invalid_request"}


async def test_process_starts_a_run_once(store: StoreClient) -> None:
    """While the run is active a second is refused; when it has ended, the next begins."""
    task = await store.create()
    queued = await store.ask(registry.PROCESS, id=task["id"], expected_revision=1)
    assert (queued["status"], queued["run"], queued["revision"]) == ("queued", 1, 2)
    assert await store.refusal(registry.PROCESS, id=task["id"]) == "run_active"
    await store.report(report("completed", task["id"], result={"a": 1}))
    again = await store.ask(registry.PROCESS, id=task["id"])
    assert (again["run"], again["attempt"], again["result"]) == (2, 2, None)
    assert await store.get(task["id"]) == again


async def test_delete_needs_that_no_run_is_active(store: StoreClient, database_url: str) -> None:
    """A deleted task is gone with its attempts; its history stays."""
    task = await store.create(process=True)
    assert await store.refusal(registry.DELETE, id=task["id"]) == "run_active"
    other = await store.create(process=True)
    await store.report(report("completed", task["id"]), report("completed", other["id"]))
    reply = await store.ask(registry.DELETE, id=task["id"])
    assert reply == {"id": task["id"], "version": 5}
    assert await store.refusal(registry.GET, id=task["id"]) == "task_not_found"
    assert await store.refusal(registry.ATTEMPTS, task_id=task["id"]) == "task_not_found"
    assert await store.event_types(task["id"]) == ["created", "queued", "started", "completed", "deleted"]
    left = await run_sql(database_url, "SELECT task_id FROM task_attempts")
    assert [row["task_id"] for row in left] == [UUID(other["id"])]


async def test_an_update_in_view_of_an_older_revision_is_refused(store: StoreClient) -> None:
    """Of two who read the same revision, the second to write is told so."""
    task = await store.create()
    await store.ask(registry.UPDATE, id=task["id"], changes={"title": "first"}, expected_revision=1)
    for command, fields in (
        (registry.UPDATE, {"changes": {"title": "second"}}),
        (registry.DELETE, {}),
        (registry.PROCESS, {}),
    ):
        assert await store.refusal(command, id=task["id"], expected_revision=1, **fields) == "revision_mismatch"
    assert (await store.get(task["id"]))["title"] == "first"


async def test_an_edit_goes_into_the_next_work_item(store: StoreClient) -> None:
    """Payload, queue, priority and kind of the work are those at the time it is queued."""
    task = await store.create()
    changes = {"payload": {"n": 1}, "queue": "other", "priority": "low", "kind": "sleep"}
    await store.ask(registry.UPDATE, id=task["id"], changes=changes)
    await store.ask(registry.PROCESS, id=task["id"])
    await store.published(3)
    (item,) = await store.work_items()
    assert {name: item[name] for name in changes} == changes


async def test_a_page_of_large_events_ends_early(store: StoreClient) -> None:
    """A history that does not fit one message comes in several pages, without a gap."""
    task = await store.create(payload="p" * 200_000)
    for number in range(8):
        await store.ask(registry.UPDATE, id=task["id"], changes={"payload": f"{number}" * 200_000})
    page = await store.ask_raw(registry.EVENTS, orjson.dumps({"task_id": task["id"], "limit": 200}))
    assert len(page) < MAX_BODY_BYTES + 1_000
    assert len(orjson.loads(page)["items"]) == 3
    assert [event["sequence"] for event in await store.events(task["id"])] == list(range(1, 10))
