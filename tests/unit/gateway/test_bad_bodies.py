"""What POST /tasks must refuse, and how it says so."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from taskmill.contracts import registry
from taskmill.contracts.limits import MAX_BODY_BYTES, MAX_INTEGER, MAX_JSON_DEPTH, MAX_PAYLOAD_BYTES
from tests.support.bad_bodies import BAD_BODIES, SECRET, BadBody, body_of_size, nested, payload_of_size
from tests.support.gateway import TASK, RememberingStore, assert_problem

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("bad", BAD_BODIES, ids=lambda bad: bad.name)
async def test_a_bad_body_is_refused(bad: BadBody, client: httpx.AsyncClient, store: RememberingStore) -> None:
    """It is answered with its code, says where the fault is, repeats nothing, and asks the store for nothing."""
    response = await client.post("/tasks", content=bad.body, headers=JSON)
    problem = assert_problem(response, bad.status, bad.code)
    pointers = [error["pointer"] for error in problem["errors"]]
    assert pointers[:1] == ([] if bad.pointer is None else [bad.pointer])
    assert SECRET not in response.text
    assert store.asked == []


@pytest.mark.parametrize(
    "fields",
    [
        {"payload": payload_of_size(MAX_PAYLOAD_BYTES)},
        {"payload": nested(MAX_JSON_DEPTH)},
        {"payload": [MAX_INTEGER, -MAX_INTEGER - 1, 1.5e308, "\U0001f600", "\\u0000", "NaN", None, True]},
        {"title": "t" * 200, "description": "d" * 10_000, "kind": "k" * 64, "queue": "q" * 64},
        {"labels": {"k" * 64 if number == 0 else f"k{number}": "v" * 200 for number in range(32)}},
        {"title": "\U0001f600" * 200},
    ],
    ids=["payload", "nesting", "values", "texts", "labels", "title of astral characters"],
)
async def test_the_largest_legal_body_is_passed_on(
    fields: dict[str, object], client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """What is just within the limits reaches the store, unchanged."""
    store.answers(registry.CREATE, TASK)
    body = {"title": "a title", **fields}
    response = await client.post("/tasks", json=body)
    assert response.status_code == 201, response.text
    [(_, asked)] = store.asked
    assert {name: asked[name] for name in body} == body


async def test_a_body_of_the_largest_size_is_read(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """768 KiB are within the limit."""
    store.answers(registry.CREATE, TASK)
    response = await client.post("/tasks", content=body_of_size(MAX_BODY_BYTES), headers=JSON)
    assert response.status_code == 201


async def test_a_body_of_unknown_length_is_counted(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """A chunked body is refused once it is too large, whatever it does not say of its length."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(13):
            yield b" " * 65_536

    response = await client.post("/tasks", content=chunks(), headers=JSON)
    assert_problem(response, 413, "payload_too_large")
    assert store.asked == []


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/merge-patch+json",
        "application/jsonp",
    ],
)
async def test_another_media_type_is_refused(
    content_type: str | None, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """Only JSON is read, and only if it says so: a web page of another site can send anything else."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = await client.post("/tasks", content=b'{"title": "t"}', headers=headers)
    assert_problem(response, 415, "unsupported_media_type")
    assert store.asked == []


async def test_a_content_coding_is_refused(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """A compressed body could be far larger than it seems."""
    headers = {**JSON, "Content-Encoding": "gzip"}
    assert_problem(await client.post("/tasks", content=b"{}", headers=headers), 415, "unsupported_media_type")
    assert store.asked == []


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON ; charset=UTF-8"])
async def test_json_is_read_however_it_is_spelt(
    content_type: str, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """Case and the charset do not matter."""
    store.answers(registry.CREATE, TASK)
    response = await client.post("/tasks", content=b'{"title": "t"}', headers={"Content-Type": content_type})
    assert response.status_code == 201


@pytest.mark.parametrize(
    ("tasks", "pointer"),
    [
        ([], "/tasks"),
        ([{"title": "t"}] * 1_001, "/tasks"),
        ([{"title": "t"}, {"title": ""}], "/tasks/1/title"),
        ([{"title": "t", "id": "x"}], "/tasks/0/id"),
        ("t", "/tasks"),
    ],
    ids=["none", "too many", "a bad title", "an id", "a string"],
)
async def test_a_bad_batch_is_refused_as_a_whole(
    tasks: object, pointer: str, client: httpx.AsyncClient, store: RememberingStore
) -> None:
    """One bad task refuses all, and the pointer says which."""
    problem = assert_problem(await client.post("/tasks/batch", json={"tasks": tasks}), 422, "invalid_request")
    assert problem["errors"][0]["pointer"] == pointer
    assert store.asked == []


async def test_a_batch_that_grows_past_a_message_is_refused(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """Numbers such as 1e15 take more room when they are written out: the store's message would be too large."""
    tasks = [{"title": "t", "payload": "P"} for _ in range(4)]
    body = json.dumps({"tasks": tasks}).replace('"P"', f"[{','.join(['1e15'] * 15_000)}]")
    assert len(body) < MAX_BODY_BYTES
    response = await client.post("/tasks/batch", content=body, headers=JSON)
    assert_problem(response, 413, "payload_too_large")
    assert store.asked == []
