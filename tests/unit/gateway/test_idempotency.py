"""The header Idempotency-Key: what the store gets of it, and what clients see of a replay."""

import json
from typing import Any

import httpx
import pytest

from taskmill.contracts import registry
from taskmill.contracts.errors import IdempotencyKeyReusedError
from taskmill.contracts.registry import Command
from taskmill.gateway.api import examples
from tests.support.gateway import NEW_TASK_ID, TASK, RememberingStore, assert_problem

FINGERPRINT = "1944db1d3e3bfef8ab5035723a054206bcab7b74fd799dae9cf37f63154ecf9a"
"""Of `POST /tasks` with a title `t` alone, as it was first written down."""

PATH = f"/tasks/{NEW_TASK_ID}"
OTHER_TASK_ID = "01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d43"

KEYED: list[tuple[str, Command, Any, Any]] = [
    ("/tasks", registry.CREATE, {"title": "t"}, TASK),
    ("/tasks/batch", registry.CREATE_MANY, {"tasks": [{"title": "t"}]}, examples.RECEIPTS),
    ("/tasks/bulk", registry.START_BULK, {"action": "cancel", "ids": [str(NEW_TASK_ID)]}, examples.BULK_OPERATION),
    (f"{PATH}/process", registry.PROCESS, None, TASK),
    (f"{PATH}/cancel", registry.CANCEL, None, TASK),
]
keyed = pytest.mark.parametrize(("path", "command", "body", "answer"), KEYED, ids=[path for path, *_ in KEYED])


async def _fingerprint(
    client: httpx.AsyncClient, store: RememberingStore, path: str = "/tasks", content: str | None = '{"title": "t"}'
) -> str:
    """What the store is told of a request, to tell it from others."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
    response = await client.post(path, content=content, headers=headers)
    assert response.is_success, response.text
    fingerprint: str = store.asked[-1][1]["idempotency"]["fingerprint"]
    return fingerprint


@keyed
async def test_a_key_reaches_the_store(
    path: str, command: Command, body: Any, answer: Any, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """It goes with the command, and the answer to a first request is not called a replay."""
    store.answers(command, answer)
    response = await client.post(path, json=body, headers={"Idempotency-Key": "k-1"})
    assert response.is_success, response.text
    assert "idempotent-replayed" not in response.headers
    assert [asked["idempotency"]["key"] for _, asked in store.asked] == ["k-1"]


async def test_an_update_of_taskmill_changes_no_fingerprint(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """A request that was made before the update and is made again after it is the same, whatever fields came since."""
    store.answers(registry.CREATE, TASK)
    assert await _fingerprint(client, store) == FINGERPRINT
    assert await _fingerprint(client, store, content='{"title": "t", "unique": null}') == FINGERPRINT
    other = await _fingerprint(client, store, content='{"title": "t", "unique": {"key": "k"}}')
    assert other != FINGERPRINT


@keyed
async def test_a_replay_is_told(
    path: str, command: Command, body: Any, answer: Any, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """The stored answer comes with the same status, and a header that says what it is."""
    store.answers(command, answer)
    first = await client.post(path, json=body, headers={"Idempotency-Key": "k-1"})
    store.answers(command, answer, is_replayed=True)
    second = await client.post(path, json=body, headers={"Idempotency-Key": "k-1"})
    assert second.headers["idempotent-replayed"] == "true"
    assert (second.status_code, second.content) == (first.status_code, first.content)


async def test_a_replayed_creation_leads_to_the_first_task(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """Location has the id of the task that exists, not the one that was made up for this request."""
    store.answers(registry.CREATE, {**TASK, "id": OTHER_TASK_ID}, is_replayed=True)
    response = await client.post("/tasks", json={"title": "t"}, headers={"Idempotency-Key": "k"})
    assert response.headers["location"] == f"/tasks/{OTHER_TASK_ID}"


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ('"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("!#~;,=", "!#~;,="),
        ('a"b', 'a"b'),
        (r'"a\"\\b"', 'a"\\b'),
        ("k" * 255, "k" * 255),
        (f'"{"k" * 255}"', "k" * 255),
    ],
)
async def test_a_key_is_bare_or_quoted(
    header: str, key: str, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """Both forms of a key are the same key."""
    store.answers(registry.CREATE, TASK)
    response = await client.post("/tasks", json={"title": "t"}, headers={"Idempotency-Key": header})
    assert response.status_code == 201, response.text
    assert store.asked[0][1]["idempotency"]["key"] == key


@keyed
@pytest.mark.parametrize("header", ["", '""', '"k', "k k", '"k k"', "schlüssel", "k" * 256, '"' + "k" * 256 + '"'])
async def test_what_is_no_key_is_refused(
    header: str,
    path: str,
    command: Command,  # noqa: ARG001 (of the same table)
    body: Any,
    answer: Any,  # noqa: ARG001
    client: httpx.AsyncClient,
    store: RememberingStore,
) -> None:
    """A client that means to be safe must not be left believing so."""
    headers = [(b"Idempotency-Key", header.encode("latin-1"))]
    response = await client.post(path, json=body, headers=headers)
    problem = assert_problem(response, 422, "invalid_request")
    assert [error["pointer"] for error in problem["errors"]] == ["Idempotency-Key"]
    assert store.asked == []


async def test_two_keys_are_none(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """A header that comes twice does not say which key counts."""
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert_problem(await client.post("/tasks", json={"title": "t"}, headers=headers), 422, "invalid_request")
    assert store.asked == []


async def test_a_key_of_another_request_is_refused(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """The store's refusal is told as 422."""
    store.answers(registry.CREATE, IdempotencyKeyReusedError())
    response = await client.post("/tasks", json={"title": "t"}, headers={"Idempotency-Key": "k"})
    assert_problem(response, 422, "idempotency_key_reused")


async def test_what_says_the_same_is_the_same_request(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """Spaces, escapes and the order of fields do not matter, nor how an instant is written."""
    store.answers(registry.CREATE, TASK)
    one = '{"title": "ü", "payload": {"a": 1, "b": [true, null]}, "run_at": "2026-11-24T12:00:00Z"}'
    other = r'{"run_at":"2026-11-24T14:00+02:00","payload":{"b":[true,null],"a":1},"title":"\u00fc"}'
    assert await _fingerprint(client, store, content=one) == await _fingerprint(client, store, content=other)


async def test_what_says_something_else_is_another_request(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """Any field, any value, the order in a list, the path, and the command count."""
    for command in (registry.CREATE, registry.PROCESS, registry.CANCEL):
        store.answers(command, TASK)
    bodies: list[Any] = [
        {"title": "t"},
        {"title": "T"},
        {"title": "t", "payload": [1, 2]},
        {"title": "t", "payload": [2, 1]},
        {"title": "t", "payload": ["1", 2]},
        {"title": "t", "max_attempts": 2},
        {"title": "t", "process": True},
    ]
    fingerprints = {await _fingerprint(client, store, content=json.dumps(body)) for body in bodies}
    paths = [f"/tasks/{task_id}/{verb}" for task_id in (NEW_TASK_ID, OTHER_TASK_ID) for verb in ("process", "cancel")]
    fingerprints |= {await _fingerprint(client, store, path, None) for path in paths}
    assert len(fingerprints) == len(bodies) + len(paths)
