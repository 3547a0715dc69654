"""Answers that wait for the end of a task, on real servers."""

import asyncio

import httpx
import pytest

from tests.support.gateway import assert_problem
from tests.support.services import running_services


async def test_create_and_wait(database_url: str, nats_url: str) -> None:
    """The answer to POST tells how the task has ended, with the ETag of that."""
    async with running_services(database_url, nats_url) as services:
        for headers, path in (({}, "/tasks?wait=20"), ({"Prefer": "respond-async, wait=20"}, "/tasks")):
            response = await services.client.post(
                path, json={"title": "t", "payload": {"a": 1}, "process": True}, headers=headers
            )
            task = response.json()
            assert (response.status_code, task["status"], task["result"]) == (201, "completed", {"a": 1})
            assert response.headers["etag"] == f'"{task["revision"]}"'
            assert response.headers.get("preference-applied") == ("wait=20" if headers else None)


async def test_process_and_wait(database_url: str, nats_url: str) -> None:
    """So does the answer to /process, and GET that comes before the end."""
    async with running_services(database_url, nats_url) as services:
        client = services.client
        task = (await client.post("/tasks", json={"title": "t"})).json()
        path = f"/tasks/{task['id']}"
        waiting = asyncio.ensure_future(client.get(f"{path}?wait=20"))
        response = await client.post(f"{path}/process?wait=20")
        assert (response.status_code, response.json()["status"]) == (202, "completed")
        assert (await waiting).json()["status"] == "completed"


async def test_time_is_over(client: httpx.AsyncClient) -> None:
    """The answer is the task as it is; with If-None-Match, that it is still the same."""
    task = (await client.post("/tasks?wait=1", json={"title": "t"})).json()
    assert task["status"] == "pending"
    path = f"/tasks/{task['id']}?wait=1"
    assert (await client.get(path)).json()["status"] == "pending"
    assert (await client.get(path, headers={"If-None-Match": '"1"'})).status_code == 304


async def test_any_change(client: httpx.AsyncClient) -> None:
    """With If-None-Match the answer comes with the next revision."""
    task = (await client.post("/tasks", json={"title": "t"})).json()
    path = f"/tasks/{task['id']}"
    waiting = asyncio.ensure_future(client.get(f"{path}?wait=20", headers={"If-None-Match": '"1"'}))
    await client.patch(path, json={"title": "another"}, headers={"Content-Type": "application/merge-patch+json"})
    response = await waiting
    assert (response.status_code, response.json()["title"]) == (200, "another")


async def test_a_task_that_goes(client: httpx.AsyncClient) -> None:
    """Who waits for it hears that."""
    task = (await client.post("/tasks", json={"title": "t"})).json()
    waiting = asyncio.ensure_future(client.get(f"/tasks/{task['id']}?wait=20"))
    await client.delete(f"/tasks/{task['id']}")
    assert_problem(await waiting, 404, "task_not_found")


@pytest.mark.parametrize("seconds", ["61", "-1", "x", "1.5"])
async def test_bad_waits(client: httpx.AsyncClient, seconds: str) -> None:
    """0 to 60 seconds, and nothing is stored; of `Prefer`, what is not understood is passed over."""
    response = await client.post(f"/tasks?wait={seconds}", json={"title": "t"})
    assert_problem(response, 422, "invalid_request")
    assert (await client.get("/tasks")).json()["items"] == []
    response = await client.post("/tasks", json={"title": "t"}, headers={"Prefer": f"wait={seconds}x"})
    assert response.status_code == 201
