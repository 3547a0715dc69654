"""The REST interface, from HTTP to PostgreSQL and back."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from taskmill.contracts.limits import MAX_BATCH_TASKS, MAX_BODY_BYTES, MAX_INTEGER, MAX_JSON_DEPTH, MAX_PAYLOAD_BYTES
from tests.support.bad_bodies import BAD_BODIES, SECRET, nested, payload_of_size
from tests.support.gateway import assert_problem

NO_TASK = "/tasks/01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42"


async def _create(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    response = await client.post("/tasks", json={"title": "a title", **fields})
    assert response.status_code == 201, response.text
    task: dict[str, Any] = response.json()
    return task


async def test_a_task_is_created_and_read(client: httpx.AsyncClient) -> None:
    """What POST answers is what GET gives, at the path that POST told, with the same ETag."""
    fields = {
        "title": "Ünïcödé \U0001f600 'quotes' \"double\" \\u0000",
        "description": "line\nline",
        "priority": "high",
        "kind": "anything",
        "queue": "slow",
        "labels": {"team": "web", "a/b.c": ""},
        "payload": {"deep": [1, 1.5, "x", None, True, {"": []}], "big": MAX_INTEGER},
    }
    response = await client.post("/tasks", json=fields)
    assert response.status_code == 201
    created = response.json()
    assert UUID(created["id"]).version == 7
    assert {name: created[name] for name in fields} == fields
    assert (created["status"], created["is_run_active"], created["revision"]) == ("pending", False, 1)
    assert response.headers["location"] == f"/tasks/{created['id']}"

    read = await client.get(response.headers["location"])
    assert read.json() == created
    assert read.headers["etag"] == response.headers["etag"] == '"1"'
    assert read.headers["x-content-type-options"] == "nosniff"
    assert "server" not in read.headers


async def test_defaults_are_those_of_the_contract(client: httpx.AsyncClient) -> None:
    """A title is enough."""
    task = await _create(client)
    assert (task["kind"], task["queue"], task["priority"]) == ("echo", "default", "medium")
    assert (task["description"], task["payload"], task["result"], task["labels"]) == (None, None, None, {})


async def test_a_task_may_start_at_once(client: httpx.AsyncClient) -> None:
    """`process` queues it: two events, one change for clients."""
    task = await _create(client, process=True)
    assert (task["status"], task["is_run_active"], task["run"], task["attempt"]) == ("queued", True, 1, 1)
    assert (task["version"], task["revision"]) == (2, 1)
    events = (await client.get(f"/tasks/{task['id']}/events")).json()["items"]
    assert [event["type"] for event in events] == ["taskmill.task.created.v1", "taskmill.task.queued.v1"]
    assert [event["sequence"] for event in events] == [1, 2]


async def test_nothing_of_a_bad_body_is_stored(client: httpx.AsyncClient) -> None:
    """Every bad body is answered with its code, none repeats what it holds, and the list stays empty."""
    for bad in BAD_BODIES:
        response = await client.post("/tasks", content=bad.body, headers={"Content-Type": "application/json"})
        assert_problem(response, bad.status, bad.code)
        assert SECRET not in response.text, bad.name
    assert (await client.get("/tasks")).json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    "payload",
    [payload_of_size(MAX_PAYLOAD_BYTES), nested(MAX_JSON_DEPTH), "é" * ((MAX_PAYLOAD_BYTES - 2) // 2)],
    ids=["bytes", "nesting", "two-byte characters"],
)
async def test_the_largest_payload_makes_the_round_trip(payload: Any, client: httpx.AsyncClient) -> None:
    """It is kept, read, sent back by PUT and patched, and its history is read."""
    content = httpx.Request("POST", "http://x", json={"title": "t", "payload": payload}).content
    response = await client.post("/tasks", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 201, response.text
    path = response.headers["location"]
    task = (await client.get(path)).json()
    assert task["payload"] == payload
    assert (await client.put(path, json=task)).json() == task
    assert (await client.patch(path, json={"title": "new"})).json()["payload"] == payload
    [created, _] = (await client.get(f"{path}/events")).json()["items"]
    assert created["data"]["payload"] == payload


async def test_the_largest_batch_is_stored_in_order(client: httpx.AsyncClient) -> None:
    """A thousand tasks, 768 KiB."""
    tasks = [{"title": f"task {number}", "payload": "x" * 700} for number in range(MAX_BATCH_TASKS)]
    content = httpx.Request("POST", "http://x", json={"tasks": tasks}).content
    content += b" " * (MAX_BODY_BYTES - len(content))
    headers = {"Content-Type": "application/json"}
    response = await client.post("/tasks/batch", content=content, headers=headers)
    assert response.status_code == 201, response.text
    items = response.json()["items"]
    assert [item["title"] for item in items] == [task["title"] for task in tasks]
    assert (await client.get(f"/tasks/{items[500]['id']}")).json()["payload"] == "x" * 700
    assert_problem(await client.post("/tasks/batch", content=content + b" ", headers=headers), 413, "payload_too_large")


async def test_a_bad_batch_leaves_nothing(client: httpx.AsyncClient) -> None:
    """All or nothing."""
    tasks = [{"title": "good"}, {"title": "good", "payload": 1}, {"title": "good", "priority": "bad"}]
    assert_problem(await client.post("/tasks/batch", json={"tasks": tasks}), 422, "invalid_request")
    assert (await client.get("/tasks")).json()["items"] == []


async def test_pages_hold_everything_once(client: httpx.AsyncClient) -> None:
    """Following the links finds every task once, newest first or oldest first, also of one batch's instant."""
    await client.post("/tasks/batch", json={"tasks": [{"title": f"t{number}"} for number in range(25)]})
    for sort in ("-created_at", "created_at"):
        titles: list[str] = []
        url: str | None = f"/tasks?limit=10&sort={sort}"
        pages = 0
        while url is not None:
            response = await client.get(url)
            page = response.json()
            assert [item for item in page["items"] if item.keys() & {"payload", "result"}] == []
            titles += [item["title"] for item in page["items"]]
            link = response.links.get("next")
            assert (link is None) == (page["next_cursor"] is None)
            url = link["url"] if link else None
            pages += 1
        assert pages == 3
        assert sorted(titles) == sorted(f"t{number}" for number in range(25))


async def test_the_largest_page_is_answered(client: httpx.AsyncClient) -> None:
    """200 tasks with the longest texts do not fit one page; the pages end early, and none is lost."""
    task = {
        "title": "\U0001f600" * 200,
        "description": "\U0001f600" * 2_000,
        "labels": {f"label-{number}": "é" * 200 for number in range(32)},
    }
    for _ in range(7):
        response = await client.post("/tasks/batch", json={"tasks": [task] * 15})
        assert response.status_code == 201, response.text
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        response = await client.get("/tasks", params={"limit": 200, **cursor})
        assert response.status_code == 200, response.text
        assert len(response.content) <= MAX_BODY_BYTES + 1_024
        page = response.json()
        found += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len(found) == len(set(found)) == 105


async def test_conditions_narrow_a_list(client: httpx.AsyncClient) -> None:
    """Each condition finds what meets it; several must all be met."""
    first = await _create(client, title="50%_off Sale", labels={"team": "web", "urgent": ""}, priority="high")
    await _create(client, title="other", kind="k", queue="q", labels={"team": "ops"})
    third = await _create(client, title="queued", process=True)

    async def titles(**params: Any) -> set[str]:
        response = await client.get("/tasks", params=params)
        assert response.status_code == 200, response.text
        return {item["title"] for item in response.json()["items"]}

    assert await titles(title="%_OFF s") == {"50%_off Sale"}
    assert await titles(title="%%") == set()
    assert await titles(status="queued") == {"queued"}
    assert await titles(status=["queued", "pending"]) == {"50%_off Sale", "other", "queued"}
    assert await titles(kind="k") == {"other"}
    assert await titles(queue="q") == {"other"}
    assert await titles(priority="high") == {"50%_off Sale"}
    assert await titles(label="team:ops") == {"other"}
    assert await titles(label="team") == {"50%_off Sale", "other"}
    assert await titles(label=["team:web", "urgent"]) == {"50%_off Sale"}
    assert await titles(label=["team:web", "missing"]) == set()
    assert await titles(created_after=third["created_at"]) == {"queued"}
    assert await titles(created_before=third["created_at"]) == {"50%_off Sale", "other"}
    assert await titles(created_after=first["created_at"], title="o", kind="echo", label="team") == {"50%_off Sale"}


async def test_a_made_up_cursor_is_refused(client: httpx.AsyncClient) -> None:
    """Whatever it decodes to."""
    task = await _create(client)
    for path in ("/tasks", f"/tasks/{task['id']}/attempts", f"/tasks/{task['id']}/events"):
        for cursor in ("x", "AAAA", "eyJhIjoxfQ", "_" * 200):
            assert_problem(await client.get(path, params={"cursor": cursor}), 422, "invalid_request")


async def test_put_takes_the_body_that_get_gave(client: httpx.AsyncClient) -> None:
    """Unchanged it changes nothing; with an edit it changes that, and the ETag."""
    path = f"/tasks/{(await _create(client, payload={'a': 1.0}, labels={'a': 'b'}))['id']}"
    read = await client.get(path)
    headers = {"Content-Type": "application/json", "If-Match": read.headers["etag"]}
    same = await client.put(path, content=read.content, headers=headers)
    assert (same.status_code, same.json(), same.headers["etag"]) == (200, read.json(), '"1"')

    changed = await client.put(path, json={**read.json(), "title": "new", "status": "completed"})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["title"], changed.json()["status"], changed.headers["etag"]) == ("new", "completed", '"2"')
    stale = await client.put(path, content=read.content, headers=headers)
    assert_problem(stale, 412, "revision_mismatch")


async def test_put_keeps_what_is_left_out(client: httpx.AsyncClient) -> None:
    """Only the fields that are there change."""
    task = await _create(client, description="d", payload=[1], labels={"a": "b"})
    response = await client.put(f"/tasks/{task['id']}", json={"title": "new"})
    changed = response.json()
    unstable = {"title", "version", "revision", "updated_at"}
    assert {name: value for name, value in changed.items() if name not in unstable} == {
        name: value for name, value in task.items() if name not in unstable
    }


async def test_put_refuses_a_changed_server_field(client: httpx.AsyncClient) -> None:
    """The pointer names it, and nothing else of the body is applied."""
    task = await _create(client)
    path = f"/tasks/{task['id']}"
    changed = {"version": 9, "created_at": "2020-01-01T00:00:00Z", "result": 5, "id": NO_TASK[7:], "run": 3}
    for name, value in changed.items():
        response = await client.put(path, json={**task, "title": "new", name: value})
        problem = assert_problem(response, 422, "field_not_editable")
        assert [error["pointer"] for error in problem["errors"]] == [f"/{name}"]
    assert (await client.get(path)).json() == task


async def test_patch_merges(client: httpx.AsyncClient) -> None:
    """Objects merge, null clears, the rest stays."""
    task = await _create(client, description="d", payload={"a": {"b": 1, "c": 2}, "d": 3}, labels={"x": "1", "y": "2"})
    patch = {"description": None, "payload": {"a": {"b": None, "e": 4}}, "labels": {"x": None, "z": "3"}, "kind": None}
    response = await client.patch(
        f"/tasks/{task['id']}", json=patch, headers={"Content-Type": "application/merge-patch+json"}
    )
    assert response.status_code == 200, response.text
    changed = response.json()
    assert changed["description"] is None
    assert changed["payload"] == {"a": {"c": 2, "e": 4}, "d": 3}
    assert changed["labels"] == {"y": "2", "z": "3"}
    assert (changed["title"], changed["kind"]) == (task["title"], "echo")
    assert (await client.get(f"/tasks/{task['id']}")).json() == changed


async def test_a_patch_past_a_limit_is_refused(client: httpx.AsyncClient) -> None:
    """The outcome counts, not the patch: labels, and the payload's size."""
    task = await _create(client, labels={f"k{number}": "" for number in range(32)}, payload={"a": "x" * 200_000})
    path = f"/tasks/{task['id']}"
    problem = assert_problem(await client.patch(path, json={"labels": {"one": "more"}}), 422, "invalid_request")
    assert problem["errors"][0]["pointer"] == "/labels"
    assert_problem(await client.patch(path, json={"payload": {"b": "x" * 100_000}}), 413, "payload_too_large")
    assert (await client.get(path)).json() == task


async def test_a_run_forbids_changes(client: httpx.AsyncClient) -> None:
    """While a run is active: no processing, no deleting, no other payload; a title may change."""
    task = await _create(client, process=True)
    path = f"/tasks/{task['id']}"
    assert_problem(await client.post(f"{path}/process"), 409, "run_active")
    assert_problem(await client.delete(path), 409, "run_active")
    assert_problem(await client.patch(path, json={"payload": 5}), 409, "run_active")
    assert_problem(await client.put(path, json={**task, "status": "completed"}), 409, "run_active")
    assert (await client.patch(path, json={"title": "new"})).status_code == 200


async def test_a_status_that_the_lifecycle_forbids_is_a_conflict(client: httpx.AsyncClient) -> None:
    """Nobody sets a task to failed by hand."""
    task = await _create(client)
    assert_problem(await client.patch(f"/tasks/{task['id']}", json={"status": "failed"}), 409, "illegal_transition")


async def test_a_deleted_task_is_gone_and_its_history_stays(client: httpx.AsyncClient) -> None:
    """404 for the task; its events are read to the last."""
    path = f"/tasks/{(await _create(client))['id']}"
    assert_problem(await client.delete(path, headers={"If-Match": '"2"'}), 412, "revision_mismatch")
    assert (await client.delete(path, headers={"If-Match": '"1"'})).status_code == 204
    assert_problem(await client.get(path), 404, "task_not_found")
    assert_problem(await client.delete(path), 404, "task_not_found")
    events = (await client.get(f"{path}/events")).json()["items"]
    assert [event["type"].split(".")[2] for event in events] == ["created", "deleted"]


async def test_an_unknown_task_is_not_found(client: httpx.AsyncClient) -> None:
    """On every operation on a task."""
    for method, path, body in [
        ("GET", NO_TASK, None),
        ("PUT", NO_TASK, {"title": "t"}),
        ("PATCH", NO_TASK, {"title": "t"}),
        ("DELETE", NO_TASK, None),
        ("POST", f"{NO_TASK}/process", None),
        ("POST", f"{NO_TASK}/cancel", None),
        ("DELETE", f"{NO_TASK}?force=true", None),
        ("GET", f"{NO_TASK}/attempts", None),
        ("GET", f"{NO_TASK}/events", None),
    ]:
        assert_problem(await client.request(method, path, json=body), 404, "task_not_found")


async def test_an_id_ends_where_it_ends(client: httpx.AsyncClient) -> None:
    """A line feed behind it makes another path, at which there is nothing."""
    task_id = (await client.post("/tasks", json={"title": "t"})).json()["id"]
    assert_problem(await client.get(f"/tasks/{task_id}%0a"), 404, "not_found")


async def test_head_has_no_body(client: httpx.AsyncClient) -> None:
    """HEAD answers what GET would, without the body."""
    path = f"/tasks/{(await _create(client))['id']}"
    head = await client.head(path)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", '"1"')
    assert head.headers["content-length"] == (await client.get(path)).headers["content-length"]


async def test_everything_is_up(client: httpx.AsyncClient) -> None:
    """Health says so, and the service is ready."""
    health = await client.get("/health")
    assert health.status_code == 200
    components = {"nats": "up", "store": "up", "postgresql": "up"}
    fleet = {"processors": 0, "paused_queues": 0, "unserved_queues": [], "unknown_kinds": [], "differing_kinds": []}
    assert health.json() == {"status": "ok", "components": components, "fleet": fleet}
    assert (await client.get("/readyz")).status_code == 200
