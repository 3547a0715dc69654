"""Answers that wait for the end of a task, on real servers."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.event_stream import streaming
from tests.support.eventually import eventually
from tests.support.gateway import assert_problem
from tests.support.running_service import running_service
from tests.support.services import running_gateway, running_services, task_store


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


async def test_a_gateway_that_ends_does_not_say_that_it_waited(database_url: str, nats_url: str) -> None:
    """The answer is the task as it is."""
    async with running_service(await task_store(database_url, nats_url)):
        gateway = running_gateway(nats_url)
        client = await gateway.__aenter__()
        async with httpx.AsyncClient(base_url=client.base_url, trust_env=False) as other:
            task = (await other.post("/tasks", json={"title": "t"})).json()
            path = f"/tasks/{task['id']}"
            waiting = asyncio.ensure_future(other.get(path, headers={"Prefer": "wait=60"}, timeout=30))
            # It was asked before, so it is in hand.
            async with streaming(client, f"{path}/events") as stream:
                await stream.take(1)
            await gateway.__aexit__(None, None, None)
            answer = await waiting
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    assert "preference-applied" not in answer.headers


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


async def test_what_was_carried_out_is_answered_so(client: httpx.AsyncClient) -> None:
    """Also if the task is gone when the wait is over; and a replay says that it is one."""
    waiting = asyncio.ensure_future(client.post("/tasks?wait=20", json={"title": "t"}))
    tasks = await eventually(lambda: _tasks(client))
    await client.delete(f"/tasks/{tasks[0]['id']}")
    response = await waiting
    assert (response.status_code, response.json()["id"]) == (201, tasks[0]["id"])
    key = {"Idempotency-Key": "once"}
    assert (await client.post("/tasks", json={"title": "t"}, headers=key)).status_code == 201
    replayed = await client.post("/tasks?wait=1", json={"title": "t"}, headers=key)
    assert (replayed.status_code, replayed.headers.get("idempotent-replayed")) == (201, "true")


async def test_when_no_more_may_follow(database_url: str, nats_url: str) -> None:
    """A wait is refused, but not what needs none, and not what would only rather wait."""
    async with (
        running_service(await task_store(database_url, nats_url)),
        running_gateway(nats_url, max_followers=1) as client,
    ):
        task = (await client.post("/tasks", json={"title": "t"})).json()
        path = f"/tasks/{task['id']}"
        async with streaming(client, "/events?after=0"):
            refusal = assert_problem(await client.get(f"{path}?wait=5"), 503, "overloaded")
            assert "TASKMILL_MAX_FOLLOWERS" in refusal["detail"]
            preferring = {"Prefer": "wait=5"}
            answers = [
                await client.get(path, headers=preferring),
                await client.post(f"{path}/process", headers=preferring),
                await client.post("/tasks", json={"title": "t"}, headers=preferring),
            ]
            # Nobody waited, and nobody says so.
            assert [(answer.status_code, "preference-applied" in answer.headers) for answer in answers] == [
                (200, False),
                (202, False),
                (201, False),
            ]
            await client.post(f"{path}/cancel")
            assert (await client.post(f"{path}/process?wait=5")).status_code == 202
            await client.post(f"{path}/cancel")
            assert (await client.get(f"{path}?wait=5")).json()["status"] == "cancelled"
            assert_problem(await client.get(f"/tasks/{UNKNOWN_ID}?wait=5"), 404, "task_not_found")


async def test_who_goes_away_waits_no_longer(database_url: str, nats_url: str) -> None:
    """Its place is free for somebody else."""
    async with (
        running_service(await task_store(database_url, nats_url)),
        running_gateway(nats_url, max_followers=1) as client,
    ):
        task = (await client.post("/tasks", json={"title": "t"})).json()
        path = f"/tasks/{task['id']}"
        async with httpx.AsyncClient(base_url=client.base_url, trust_env=False) as other:
            waiting = asyncio.ensure_future(_wait_once_possible(other, path))
            await eventually(lambda: _is_refused(client, path))
            waiting.cancel()
        assert await eventually(lambda: _is_answered(client, path))


UNKNOWN_ID = "0199a1b2-7c3d-7e4f-8a9b-0c1d2e3f4a5b"


async def _tasks(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await client.get("/tasks")).json()["items"]
    return items


async def _wait_once_possible(client: httpx.AsyncClient, path: str) -> None:
    # Whoever looks whether there is a place has it for a moment.
    while (await client.get(f"{path}?wait=60", timeout=90)).status_code == 503:
        pass


async def _is_refused(client: httpx.AsyncClient, path: str) -> bool:
    return (await client.get(f"{path}?wait=1")).status_code == 503


async def _is_answered(client: httpx.AsyncClient, path: str) -> bool:
    return not await _is_refused(client, path)
