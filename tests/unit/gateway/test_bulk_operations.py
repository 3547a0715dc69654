"""Bulk operations over HTTP: what the store is asked, what the client is told, and what is refused."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from taskmill.contracts import registry
from taskmill.contracts.errors import BulkOperationNotFoundError, RemoteError
from taskmill.gateway.api import examples
from tests.support.gateway import NEW_TASK_ID, RememberingStore, assert_problem

OPERATION = examples.BULK_OPERATION
OTHER_ID = "01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d43"
FAILED = {"status": ["failed"]}


async def test_an_operation_is_begun_and_can_be_followed(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """It is accepted, not done: Location leads to where it can be read."""
    store.answers(registry.START_BULK, OPERATION)
    store.answers(registry.GET_BULK, OPERATION)
    body = {
        "action": "delete",
        "filter": {
            **FAILED,
            "title": "50%",
            "kind": "echo",
            "queue": "web",
            "priority": "low",
            "labels": {"team": "web", "urgent": None},
            "created_after": "2026-11-24T12:00:00+02:00",
            "created_before": "2026-11-24T12:00:00Z",
        },
        "dry_run": True,
        "force": True,
    }
    response = await client.post("/tasks/bulk", json=body)
    assert (response.status_code, response.json()) == (202, OPERATION)
    assert response.headers["location"] == f"/operations/{OPERATION['id']}"
    followed = await client.get(response.headers["location"])
    assert (followed.status_code, followed.json()) == (200, OPERATION)
    (_, begun), (_, read) = store.asked
    instants = {"created_after": "2026-11-24T10:00:00Z", "created_before": "2026-11-24T12:00:00Z"}
    assert begun == {**body, "filter": {**body["filter"], **instants}, "id": str(NEW_TASK_ID), "idempotency": None}  # type: ignore[dict-item]
    assert read == {"id": OPERATION["id"]}


async def test_a_thousand_tasks_may_be_named(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """They reach the store as they came."""
    store.answers(registry.START_BULK, OPERATION)
    ids = [str(uuid4()) for _ in range(1_000)]
    assert (await client.post("/tasks/bulk", json={"action": "process", "ids": ids})).status_code == 202
    assert store.asked[0][1]["ids"] == ids


BAD: list[tuple[Any, str]] = [
    ({"filter": FAILED}, "/action"),
    ({"action": "retry", "filter": FAILED}, "/action"),
    ({"action": "process"}, ""),
    ({"action": "process", "filter": None}, ""),
    ({"action": "process", "filter": FAILED, "ids": [OTHER_ID]}, ""),
    ({"action": "process", "filter": {}}, "/filter"),
    ({"action": "process", "filter": {"status": [], "labels": {}}}, "/filter"),
    ({"action": "process", "filter": {"status": ["done"]}}, "/filter/status/0"),
    ({"action": "process", "filter": {"label": "team:web"}}, "/filter/label"),
    ({"action": "process", "filter": {"labels": {f"k{number}": None for number in range(9)}}}, "/filter/labels"),
    ({"action": "process", "filter": {"created_after": "yesterday"}}, "/filter/created_after"),
    ({"action": "process", "filter": "all"}, "/filter"),
    ({"action": "process", "ids": []}, "/ids"),
    ({"action": "process", "ids": [OTHER_ID, OTHER_ID]}, "/ids"),
    ({"action": "process", "ids": [str(uuid4()) for _ in range(1_001)]}, "/ids"),
    ({"action": "process", "ids": ["7"]}, "/ids/0"),
    ({"action": "process", "ids": OTHER_ID}, "/ids"),
    ({"action": "process", "filter": FAILED, "force": True}, "/force"),
    ({"action": "delete", "filter": FAILED, "force": "yes"}, "/force"),
    ({"action": "delete", "filter": FAILED, "dry_run": 1}, "/dry_run"),
    ({"action": "delete", "filter": FAILED, "limit": 5}, "/limit"),
    ({"action": "delete", "filter": FAILED, "id": OTHER_ID}, "/id"),
]


@pytest.mark.parametrize(("body", "pointer"), BAD, ids=range(len(BAD)))
async def test_a_bad_operation_is_refused(
    body: Any, pointer: str, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """Above all one that does not say of which tasks it speaks; the store is asked for nothing."""
    problem = assert_problem(await client.post("/tasks/bulk", json=body), 422, "invalid_request")
    assert problem["errors"][0]["pointer"] == pointer
    assert store.asked == []


async def test_an_unknown_operation_is_not_found(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """One that the store does not know, and what is no id at all."""
    store.answers(registry.GET_BULK, RemoteError(BulkOperationNotFoundError().problem()))
    assert_problem(await client.get(f"/operations/{OTHER_ID}"), 404, "bulk_operation_not_found")
    assert_problem(await client.get("/operations/7"), 404, "bulk_operation_not_found")
