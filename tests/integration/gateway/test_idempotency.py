"""Requests that are made again under their Idempotency-Key, from HTTP to PostgreSQL and back."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.gateway import assert_problem

KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
REPLAYED = "idempotent-replayed"


async def _create(client: httpx.AsyncClient, **fields: Any) -> str:
    response = await client.post("/tasks", json={"title": "t", **fields})
    assert response.status_code == 201, response.text
    return response.headers["location"]


async def _twice(client: httpx.AsyncClient, path: str, body: Any = None, **headers: str) -> httpx.Response:
    """Make a request twice; the second answer must be the first one's, and must say so. Returns it."""
    first = await client.post(path, json=body, headers={**KEY, **headers})
    assert first.is_success, first.text
    assert REPLAYED not in first.headers
    second = await client.post(path, json=body, headers={**KEY, **headers})
    assert second.headers[REPLAYED] == "true"
    assert (second.status_code, second.content) == (first.status_code, first.content)
    for name in ("location", "etag"):
        assert second.headers.get(name) == first.headers.get(name)
    return second


async def _count(client: httpx.AsyncClient) -> int:
    return len((await client.get("/tasks", params={"limit": 200})).json()["items"])


async def test_a_repeated_creation_makes_one_task(client: httpx.AsyncClient) -> None:
    """Both answers tell of the task that exists, and where it is."""
    response = await _twice(client, "/tasks", {"title": "t", "payload": {"a": [1, 1.5]}, "process": True})
    assert (await client.get(response.headers["location"])).json()["id"] == response.json()["id"]
    assert await _count(client) == 1


async def test_a_repeated_batch_makes_its_tasks_once(client: httpx.AsyncClient) -> None:
    """All of them, in the same order."""
    tasks = [{"title": f"t{number}", "process": number % 2 == 0} for number in range(20)]
    response = await _twice(client, "/tasks/batch", {"tasks": tasks})
    assert [item["title"] for item in response.json()["items"]] == [task["title"] for task in tasks]
    assert await _count(client) == 20


@pytest.mark.parametrize("body", [{"title": "t"}, {"title": "t", "process": True}], ids=["pending", "queued"])
async def test_many_at_once_make_one_task(body: dict[str, Any], client: httpx.AsyncClient) -> None:
    """A request that comes while the first is under way waits for it, and gets its answer."""
    responses = await asyncio.gather(*(client.post("/tasks", json=body, headers=KEY) for _ in range(50)))
    assert {response.status_code for response in responses} == {201}
    assert len({response.content for response in responses}) == 1
    assert len({response.headers["location"] for response in responses}) == 1
    assert sum(REPLAYED not in response.headers for response in responses) == 1
    assert await _count(client) == 1


async def test_another_request_under_the_key_is_refused(client: httpx.AsyncClient) -> None:
    """422, nothing is stored, and the first answer stays."""
    first = await client.post("/tasks", json={"title": "t"}, headers=KEY)
    other = await client.post("/tasks", json={"title": "T"}, headers=KEY)
    assert_problem(other, 422, "idempotency_key_reused")
    assert await _count(client) == 1
    again = await client.post("/tasks", json={"title": "t"}, headers=KEY)
    assert (again.content, again.headers[REPLAYED]) == (first.content, "true")


async def test_each_command_has_keys_of_its_own(client: httpx.AsyncClient) -> None:
    """The same key may be used for what is asked of another task, and for another command."""
    for path in [await _create(client), await _create(client)]:
        await _twice(client, f"{path}/process")
        await _twice(client, f"{path}/cancel")
    await _twice(client, "/tasks", {"title": "t"})
    await _twice(client, "/tasks/batch", {"tasks": [{"title": "t"}]})


@pytest.mark.parametrize("if_match", ['"1"', '"1", "7"', "*"])
async def test_a_repeated_run_is_one_run(if_match: str, client: httpx.AsyncClient) -> None:
    """Also when the first has changed the revision that the request was made for."""
    path = await _create(client)
    response = await _twice(client, f"{path}/process", **{"If-Match": if_match})
    assert response.status_code == 202
    task = (await client.get(path)).json()
    assert (task["run"], task["status"]) == (1, "queued")


async def test_a_repeated_cancellation_is_one(client: httpx.AsyncClient) -> None:
    """The second would find a task that is cancelled already, and is answered as the first."""
    path = await _create(client, process=True)
    response = await _twice(client, f"{path}/cancel", {})
    assert (response.status_code, response.json()["status"]) == (200, "cancelled")
    assert_problem(await client.post(f"{path}/cancel"), 409, "already_finished")


async def test_a_refused_request_leaves_its_key_free(client: httpx.AsyncClient) -> None:
    """What could not be done may be asked for again under the same key."""
    path = await _create(client, process=True)
    assert_problem(await client.post(f"{path}/process", headers=KEY), 409, "run_active")
    assert (await client.post(f"{path}/cancel")).status_code == 200
    response = await client.post(f"{path}/process", headers=KEY)
    assert (response.status_code, response.json()["run"]) == (202, 2)
    assert REPLAYED not in response.headers


async def test_without_a_key_every_request_counts(client: httpx.AsyncClient) -> None:
    """Two that say the same make two tasks."""
    await _create(client)
    await _create(client)
    assert await _count(client) == 2
