"""Webhooks over HTTP: what the store is asked, what the client is told, and what is refused."""

import base64
from typing import Any

import httpx
import pytest

from taskmill.contracts import registry
from taskmill.contracts.errors import (
    RemoteError,
    RevisionMismatchError,
    TaskNotFoundError,
    TooManyWebhooksError,
    WebhookNotFoundError,
)
from taskmill.gateway.api import examples
from tests.support.gateway import NEW_TASK_ID, TASK, RememberingStore, assert_problem

WEBHOOK = {**examples.WEBHOOK, "revision": 7}
WITH_SECRET = {**WEBHOOK, "secret": examples.WEBHOOK_WITH_SECRET["secret"]}
PATH = f"/webhooks/{WEBHOOK['id']}"
SECRET = WITH_SECRET["secret"]
DELIVERY = {
    **TASK,
    "kind": "webhook-delivery",
    "queue": "webhooks",
    "status": "failed",
    "labels": {"taskmill/webhook": WEBHOOK["id"], "taskmill/event": "a.2"},
}


async def test_a_webhook_is_made_with_a_secret_of_its_own(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """Unless the client gives one; the answer has it, and says where the webhook is."""
    store.answers(registry.CREATE_WEBHOOK, WITH_SECRET)
    made = await client.post("/webhooks", json=examples.NEW_WEBHOOK)
    assert (made.status_code, made.json()) == (201, WITH_SECRET)
    assert (made.headers["location"], made.headers["etag"]) == (PATH, '"7"')
    await client.post("/webhooks", json=examples.NEW_WEBHOOK)
    await client.post("/webhooks", json={**examples.NEW_WEBHOOK, "secret": SECRET})
    asked = [request for _, request in store.asked]
    secrets = [request.pop("secret") for request in asked]
    assert asked == [{**examples.NEW_WEBHOOK, "id": str(NEW_TASK_ID)}] * 3
    assert len(set(secrets)) == 3
    assert len(base64.b64decode(secrets[0].removeprefix("whsec_"))) == 32
    assert secrets[2] == SECRET


async def test_a_webhook_is_read_and_listed(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """With its revision as ETag; a page leads to the next one."""
    store.answers(registry.GET_WEBHOOK, WEBHOOK)
    store.answers(registry.LIST_WEBHOOKS, {"items": [WEBHOOK], "next_cursor": WEBHOOK["id"]})
    read = await client.get(PATH)
    assert (read.status_code, read.json(), read.headers["etag"]) == (200, WEBHOOK, '"7"')
    assert (await client.get(PATH, headers={"If-None-Match": '"7"'})).status_code == 304
    page = await client.get("/webhooks?limit=1")
    assert page.headers["link"] == f'</webhooks?limit=1&cursor={WEBHOOK["id"]}>; rel="next"'
    assert store.asked[-1][1] == {"limit": 1, "cursor": None}


@pytest.mark.parametrize(("if_match", "revision"), [(None, None), ('"7"', 7), ("*", None), ('"6", "7"', 7)])
async def test_changes_may_be_conditional(
    client: httpx.AsyncClient, store: RememberingStore, if_match: str | None, revision: int | None
) -> None:
    """As those of tasks."""
    headers = {} if if_match is None else {"If-Match": if_match}
    store.answers(registry.GET_WEBHOOK, WEBHOOK)
    store.answers(registry.UPDATE_WEBHOOK, WEBHOOK)
    store.answers(registry.ROTATE_WEBHOOK, WITH_SECRET)
    store.answers(registry.DELETE_WEBHOOK, {"id": WEBHOOK["id"]})
    patched = await client.patch(PATH, json=examples.WEBHOOK_PATCH, headers=headers)
    assert (patched.status_code, patched.headers["etag"]) == (200, '"7"')
    assert store.asked[-1][1] == {
        "id": WEBHOOK["id"],
        "changes": examples.WEBHOOK_PATCH,
        "expected_revision": revision,
    }
    rotated = await client.post(f"{PATH}/rotate", headers=headers)
    assert (rotated.status_code, rotated.json()) == (200, WITH_SECRET)
    asked = store.asked[-1][1]
    assert asked.pop("secret") != SECRET
    assert asked == {"id": WEBHOOK["id"], "expected_revision": revision}
    assert (await client.delete(PATH, headers=headers)).status_code == 204
    assert store.asked[-1][1] == {"id": WEBHOOK["id"], "expected_revision": revision}


async def test_the_log_of_deliveries(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """The tasks that are deliveries to the webhook, in the words of deliveries."""
    store.answers(registry.LIST, {"items": [DELIVERY], "next_cursor": "abc"})
    page = await client.get(f"{PATH}/deliveries?limit=1")
    (item,) = page.json()["items"]
    assert (item["task_id"], item["event_id"], item["status"]) == (TASK["id"], "a.2", "failed")
    assert page.headers["link"].startswith(f"<{PATH}/deliveries?limit=1&cursor=abc>")
    (_, asked) = store.asked[0]
    assert asked["filter"] == {"kind": "webhook-delivery", "labels": {"taskmill/webhook": WEBHOOK["id"]}}
    store.answers(registry.LIST, {"items": [], "next_cursor": None})
    store.answers(registry.GET_WEBHOOK, RemoteError(WebhookNotFoundError().problem()))
    assert_problem(await client.get(f"{PATH}/deliveries"), 404, "webhook_not_found")


async def test_an_event_is_delivered_again(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """By another run of its task; one that waits for its turn is taken off the ladder first."""
    path = f"{PATH}/deliveries/{TASK['id']}/redeliver"
    store.answers(registry.GET, DELIVERY)
    store.answers(registry.PROCESS, {**DELIVERY, "status": "queued"})
    store.answers(registry.CANCEL, {**DELIVERY, "status": "cancelled"})
    again = await client.post(path)
    assert (again.status_code, again.json()["status"], again.headers["location"]) == (
        202,
        "queued",
        f"/tasks/{TASK['id']}",
    )
    store.answers(registry.GET, {**DELIVERY, "status": "scheduled"})
    assert (await client.post(path)).status_code == 202
    verbs = [subject.rpartition(".")[2] for subject, _ in store.asked]
    assert verbs == ["get", "process", "get", "cancel", "process"]


@pytest.mark.parametrize("other", [{"kind": "echo"}, {"labels": {"taskmill/webhook": str(NEW_TASK_ID)}}])
async def test_only_deliveries_of_the_webhook_are_delivered_again(
    client: httpx.AsyncClient, store: RememberingStore, other: dict[str, Any]
) -> None:
    """Anything else is not there."""
    store.answers(registry.GET, {**DELIVERY, **other})
    assert_problem(await client.post(f"{PATH}/deliveries/{TASK['id']}/redeliver"), 404, "delivery_not_found")
    store.answers(registry.GET, RemoteError(TaskNotFoundError().problem()))
    assert_problem(await client.post(f"{PATH}/deliveries/{TASK['id']}/redeliver"), 404, "delivery_not_found")


async def test_replays_are_begun_and_followed(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """To a webhook, and to a subject."""
    store.answers(registry.START_REPLAY, examples.REPLAY)
    store.answers(registry.GET_REPLAY, examples.REPLAY)
    begun = await client.post(f"{PATH}/replay", json=examples.NEW_REPLAY)
    assert (begun.status_code, begun.json()) == (202, examples.REPLAY)
    assert begun.headers["location"] == f"/replays/{examples.REPLAY['id']}"
    assert (await client.get(begun.headers["location"])).json() == examples.REPLAY
    assert (await client.post("/events/replay", json=examples.NEW_SUBJECT_REPLAY)).status_code == 202
    assert [asked for _, asked in store.asked] == [
        {"id": str(NEW_TASK_ID), "webhook_id": WEBHOOK["id"], **examples.NEW_REPLAY},
        {"id": examples.REPLAY["id"]},
        {"id": str(NEW_TASK_ID), **examples.NEW_SUBJECT_REPLAY},
    ]


@pytest.mark.parametrize(
    ("path", "body", "command", "answer"),
    [
        ("/webhooks", examples.NEW_WEBHOOK, registry.CREATE_WEBHOOK, WITH_SECRET),
        (f"{PATH}/replay", examples.NEW_REPLAY, registry.START_REPLAY, examples.REPLAY),
        ("/events/replay", examples.NEW_SUBJECT_REPLAY, registry.START_REPLAY, examples.REPLAY),
    ],
    ids=["webhook", "replay to a webhook", "replay to a subject"],
)
async def test_a_key_makes_it_safe_to_ask_again(
    client: httpx.AsyncClient, store: RememberingStore, path: str, body: Any, command: registry.Command, answer: Any
) -> None:
    """The store is told the key, and the client where that is which was made the first time."""
    store.answers(command, answer, is_replayed=True)
    first, second = [await client.post(path, json=body, headers={"Idempotency-Key": "k-1"}) for _ in range(2)]
    assert (first.headers["idempotent-replayed"], first.json()) == ("true", answer)
    assert first.headers["location"].endswith(f"/{answer['id']}")
    keys = [asked["idempotency"] for _, asked in store.asked]
    assert keys[0] == keys[1]
    assert keys[0]["key"] == "k-1"
    assert second.json() == answer
    other = await client.post(path, json={**body, "kind": "other"}, headers={"Idempotency-Key": "k-1"})
    assert other.status_code == first.status_code
    assert store.asked[-1][1]["idempotency"]["fingerprint"] != keys[0]["fingerprint"]
    assert_problem(await client.post(path, json=body, headers={"Idempotency-Key": "a b"}), 422, "invalid_request")


BAD: list[tuple[str, str, Any, str]] = [
    ("POST", "/webhooks", {}, "/url"),
    ("POST", "/webhooks", {"url": "ftp://example.org"}, "/url"),
    ("POST", "/webhooks", {"url": "https://user:password@example.org"}, "/url"),
    ("PATCH", PATH, {"url": "https://user@example.org"}, "/url"),
    ("POST", "/webhooks", {**examples.NEW_WEBHOOK, "secret": "x"}, "/secret"),
    ("POST", "/webhooks", {**examples.NEW_WEBHOOK, "types": ["paid"]}, "/types/0"),
    ("POST", "/webhooks", {**examples.NEW_WEBHOOK, "id": str(NEW_TASK_ID)}, "/id"),
    ("PATCH", PATH, {"url": None}, "/url"),
    ("PATCH", PATH, {"secret": SECRET}, "/secret"),
    ("PATCH", PATH, {"labels": ["a", "a:1"]}, "/labels"),
    ("POST", f"{PATH}/rotate", {"secret": ""}, "/secret"),
    ("POST", f"{PATH}/replay", {}, "/after"),
    ("POST", f"{PATH}/replay", {"after": 0, "until": 1_000_001}, ""),
    ("POST", f"{PATH}/replay", {"after": 5, "until": 4}, ""),
    ("POST", "/events/replay", {"after": 0}, "/name"),
    ("POST", "/events/replay", {"after": 0, "name": "a.b"}, "/name"),
]


@pytest.mark.parametrize(("method", "path", "body", "pointer"), BAD)
async def test_what_does_not_fit_is_refused(
    client: httpx.AsyncClient, store: RememberingStore, method: str, path: str, body: Any, pointer: str
) -> None:
    """Before the store is asked, with a pointer to what is wrong."""
    answer = await client.request(method, path, json=body)
    problem = assert_problem(answer, 422, "invalid_request")
    assert "user" not in answer.text.replace("user and password", "")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert store.asked == []


async def test_what_the_store_refuses_is_told(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """As any problem."""
    store.answers(registry.CREATE_WEBHOOK, RemoteError(TooManyWebhooksError(5).problem()))
    assert_problem(await client.post("/webhooks", json=examples.NEW_WEBHOOK), 422, "too_many_webhooks")
    store.answers(registry.UPDATE_WEBHOOK, RemoteError(RevisionMismatchError().problem()))
    assert_problem(await client.patch(PATH, json={}), 412, "revision_mismatch")
    store.answers(registry.GET_WEBHOOK, RemoteError(WebhookNotFoundError().problem()))
    assert_problem(await client.get(PATH), 404, "webhook_not_found")
