"""OWASP API5: no operation is carried out for who lacks its scope."""

from typing import Any

import pytest

from taskmill.contracts.api_keys import ALL_SCOPES, Scope
from taskmill.gateway.api.scopes import PUBLIC, SCOPES
from tests.support.gateway import assert_problem
from tests.support.guarded import Guarded, bearer

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCHEDULE = {"name": "forbidden", "template": {"title": "forbidden"}, "interval_seconds": 3600}
BODIES: dict[str, Any] = {
    "POST /tasks": {"title": "forbidden"},
    "POST /tasks/batch": {"tasks": [{"title": "forbidden"}]},
    "PATCH /tasks/{task_id}": {"title": "forbidden"},
    "POST /tasks/bulk": {"action": "delete", "filter": {"kind": "echo"}, "force": True},
    "POST /groups": {"title": "forbidden", "tasks": [{"title": "forbidden"}]},
    "POST /events/replay": {"name": "forbidden"},
    "POST /webhooks": {"url": "https://example.org/forbidden"},
    "PATCH /webhooks/{webhook_id}": {"description": "forbidden"},
    "POST /schedules": SCHEDULE,
    "PUT /schedules/{schedule_id}": SCHEDULE,
    "PATCH /schedules/{schedule_id}": {"name": "forbidden"},
    "POST /schedules/{schedule_id}/backfill": {"since": "2026-01-01T00:00:00Z", "until": "2026-01-01T02:00:00Z"},
    "PUT /limits/{name}": {"max_in_progress": 1},
    "PUT /shares/{concurrency_key}": {"weight": 2},
    "POST /keys": {"name": "forbidden", "scopes": ["tasks:read"]},
}
"""What would do something, where a body is needed."""


async def test_no_operation_is_carried_out_without_its_scope(guarded: Guarded) -> None:
    """Each, on things that exist, by a key that has every other scope: 403, and all is as it was."""
    task = (await guarded.ask("POST", "/tasks", json={"title": "mine"})).json()
    webhook = (await guarded.ask("POST", "/webhooks", json={"url": "https://example.org/", "is_enabled": False})).json()
    schedule = (await guarded.ask("POST", "/schedules", json={**SCHEDULE, "is_paused": True})).json()
    victim = await guarded.made_key(["tasks:read"])
    (processor,) = (await guarded.ask("GET", "/processors")).json()["items"]
    ids = {
        "task_id": task["id"],
        "webhook_id": webhook["id"],
        "key_id": victim["id"],
        "processor_id": processor["id"],
        "name": "default",
        "operation_id": task["id"],
        "group_id": task["id"],
        "replay_id": task["id"],
        "schedule_id": schedule["id"],
        "concurrency_key": "somebody",
    }
    lacking = {
        scope: bearer((await guarded.made_key([other for other in ALL_SCOPES if other is not scope]))["key"])
        for scope in Scope
    }

    async def all_there_is() -> list[Any]:
        paths = (
            "/tasks",
            "/webhooks",
            "/schedules",
            "/limits",
            "/shares",
            "/queues",
            f"/tasks/{task['id']}",
            f"/keys/{victim['id']}",
            "/keys?limit=100",
        )
        found = [(await guarded.ask("GET", path)).json() for path in paths]
        for key in found[-1]["items"]:
            del key["last_used_at"]  # it tells who asked, also in vain
        return found

    before = await all_there_is()
    for operation, scope in SCOPES.items():
        if scope is PUBLIC:
            continue
        method, path = operation.split(" ")
        body = {"json": BODIES[operation]} if operation in BODIES else {}
        if operation == "PUT /tasks/{task_id}":
            body = {"json": {**task, "title": "forbidden"}}
        answer = await guarded.client.request(method, path.format_map(ids), headers=lacking[scope], **body)
        problem = assert_problem(answer, 403, "missing_scope")
        assert scope in problem["detail"], operation
    assert await all_there_is() == before
    assert (await guarded.ask("DELETE", f"/webhooks/{webhook['id']}")).status_code == 204
    assert (await guarded.ask("DELETE", f"/schedules/{schedule['id']}")).status_code == 204


async def test_another_method_or_spelling_is_no_way_around(guarded: Guarded) -> None:
    """Scopes are of what is carried out, however it is written."""
    reader = await guarded.bearer("tasks:read")
    task = (await guarded.ask("POST", "/tasks", json={"title": "mine"})).json()
    path = f"/tasks/{task['id']}"
    for method, other in (("GET", path), ("POST", path), ("POST", f"/{path}"), ("POST", f"{path}/")):
        headers = {**reader, "X-HTTP-Method-Override": "DELETE", "X-Original-URL": path, "X-Method-Override": "DELETE"}
        answer = await guarded.client.request(method, other, headers=headers)
        assert answer.status_code in {200, 404, 405}, (method, other)
    assert (await guarded.ask("GET", path)).json() == task
