"""Retries, delays, timeouts, cancelling and bounds, as clients see them, with every service running."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from taskmill.sdk import Context, TaskApp
from tests.support.eventually import eventually
from tests.support.gateway import assert_problem
from tests.support.services import Services, running_services

FAR_AWAY = "2100-01-01T00:00:00Z"
QUICK = {"base_seconds": 0.02, "factor": 1, "jitter": 0}


def _handlers() -> TaskApp:
    app = TaskApp("test")

    @app.task("flaky")
    async def flaky(payload: int, context: Context) -> int:
        if context.attempt < payload:
            raise ValueError("not yet")
        return context.attempt

    @app.task("endless")
    async def endless(_payload: None, _context: Context) -> None:
        await asyncio.Event().wait()

    return app


@pytest_asyncio.fixture
async def services(database_url: str, nats_url: str) -> AsyncIterator[Services]:
    """Everything, with handlers that fail and that never end."""
    async with running_services(database_url, nats_url, apps=[_handlers()]) as services:
        yield services


async def _post(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    response = await client.post("/tasks", json={"title": "t", **fields})
    assert response.status_code == 201, response.text
    task: dict[str, Any] = response.json()
    return task


async def _in_progress(services: Services, **fields: Any) -> str:
    """Start a task that never ends, and return its path once it has started."""
    path = f"/tasks/{(await _post(services.client, kind='endless', process=True, **fields))['id']}"

    async def is_in_progress() -> bool:
        return bool((await services.client.get(path)).json()["status"] == "in_progress")

    await eventually(is_in_progress)
    return path


async def _events(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = (await client.get(f"{path}/events", params={"limit": 200})).json()["items"]
    return events


def _types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].split(".")[2] for event in events]


async def test_a_failed_attempt_is_tried_again(services: Services) -> None:
    """The third attempt completes; each failure is an attempt with its error, and an event that says what is next."""
    task = await _post(services.client, kind="flaky", payload=3, max_attempts=5, backoff=QUICK, process=True)
    assert task["attempt_limit"] == 5
    done = await services.completed(task["id"])
    assert (done["result"], done["attempt"], done["run"]) == (3, 3, 1)
    attempts = (await services.client.get(f"/tasks/{task['id']}/attempts")).json()["items"]
    assert [attempt["outcome"] for attempt in attempts] == ["failed", "failed", "completed"]
    assert [attempt["error"]["type"] for attempt in attempts[:2]] == ["ValueError"] * 2
    retries = [
        event["data"]
        for event in await _events(services.client, f"/tasks/{task['id']}")
        if event["type"] == "taskmill.task.scheduled.v1"
    ]
    assert [(retry["reason"], retry["attempt"], retry["error"]["message"]) for retry in retries] == [
        ("retry", 2, "not yet"),
        ("retry", 3, "not yet"),
    ]


async def test_a_run_has_so_many_attempts_and_the_next_has_them_again(services: Services) -> None:
    """After the last the task fails; processed again, it goes on counting, and may come to the end."""
    task = await _post(services.client, kind="flaky", payload=4, max_attempts=2, backoff=QUICK, process=True)
    failed = await services.ended(task["id"])
    assert (failed["status"], failed["attempt"], failed["error"]["message"]) == ("failed", 2, "not yet")
    response = await services.client.post(f"/tasks/{task['id']}/process")
    assert (response.json()["attempt"], response.json()["attempt_limit"]) == (3, 4)
    assert (await services.completed(task["id"]))["result"] == 4


async def test_a_handler_past_its_timeout_fails(services: Services) -> None:
    """The error's code says why."""
    task = await _post(services.client, kind="endless", timeout_seconds=0.1, process=True)
    failed = await services.ended(task["id"])
    assert (failed["status"], failed["error"]["code"]) == ("failed", "timeout")


async def test_a_task_waits_for_its_time(services: Services) -> None:
    """It is scheduled, says until when, and is processed soon after, never before."""
    run_at = datetime.now(UTC) + timedelta(seconds=1)
    task = await _post(services.client, run_at=run_at.isoformat())
    assert (task["status"], task["is_run_active"], task["run"], task["attempt"]) == ("scheduled", True, 1, 1)
    read = (await services.client.get(f"/tasks/{task['id']}")).json()
    assert read["waiting_for"]["reason"] == "due_time"
    assert datetime.fromisoformat(read["waiting_for"]["until"]) == run_at
    done = await services.completed(task["id"])
    assert run_at <= datetime.fromisoformat(done["started_at"]) < run_at + timedelta(seconds=1)


async def test_a_time_that_has_passed_means_at_once(services: Services) -> None:
    """The task is queued, also without `process`."""
    task = await _post(services.client, run_at="2020-01-01T00:00:00Z")
    assert task["status"] == "queued"
    await services.completed(task["id"])


@pytest.mark.parametrize(
    ("fields", "status"),
    [({}, "pending"), ({"run_at": FAR_AWAY}, "scheduled"), ({"queue": "unserved", "process": True}, "queued")],
    ids=["pending", "scheduled", "queued"],
)
async def test_what_has_not_started_is_cancelled_at_once(
    fields: dict[str, Any], status: str, services: Services
) -> None:
    """200, the last event says that it had not started, and it may be processed again."""
    task = await _post(services.client, **fields)
    assert task["status"] == status
    path = f"/tasks/{task['id']}"
    response = await services.client.post(f"{path}/cancel")
    assert (response.status_code, response.json()["status"]) == (200, "cancelled")
    assert (await services.client.get(path)).json() == response.json()
    last = (await _events(services.client, path))[-1]
    assert (last["type"], last["data"]["cancellation"]) == ("taskmill.task.cancelled.v1", "before_start")
    assert_problem(await services.client.post(f"{path}/cancel"), 409, "already_finished")
    assert (await services.client.post(f"{path}/process")).status_code == 202


async def test_what_is_in_progress_is_stopped(services: Services) -> None:
    """202, the handler stops, and the last event says that its processor confirmed it; asking again adds nothing."""
    path = await _in_progress(services, max_attempts=3, backoff=QUICK)
    responses = [await services.client.post(f"{path}/cancel") for _ in range(2)]
    assert responses[0].status_code == 202
    assert responses[0].json()["cancel_requested_at"] is not None
    cancelled = await services.ended(path.removeprefix("/tasks/"))
    assert (cancelled["status"], cancelled["attempt"], cancelled["cancel_requested_at"]) == ("cancelled", 1, None)
    events = await _events(services.client, path)
    assert _types(events) == ["created", "queued", "started", "cancel_requested", "cancelled"]
    assert events[-1]["data"]["cancellation"] == "confirmed"


@pytest.mark.parametrize("status", ["completed", "in_progress"])
async def test_what_no_run_holds_is_not_cancelled(status: str, services: Services) -> None:
    """409 for a task that a person keeps by hand, wherever they say it stands."""
    path = f"/tasks/{(await _post(services.client))['id']}"
    assert (await services.client.patch(path, json={"status": status})).status_code == 200
    assert_problem(await services.client.post(f"{path}/cancel"), 409, "already_finished")


async def test_force_deletes_a_task_in_progress(services: Services) -> None:
    """Without it 409; with it the task is gone at once, and its history says how."""
    path = await _in_progress(services)
    assert_problem(await services.client.delete(path), 409, "run_active")
    assert (await services.client.delete(path, params={"force": "true"})).status_code == 204
    assert_problem(await services.client.get(path), 404, "task_not_found")
    assert _types(await _events(services.client, path))[-2:] == ["cancelled", "deleted"]


async def test_a_task_says_what_it_waits_for(services: Services) -> None:
    """A queue that nobody serves, in every answer; a task that waits for nothing says nothing."""
    waiting = await _post(services.client, queue="unserved", process=True)
    read = (await services.client.get(f"/tasks/{waiting['id']}")).json()
    assert read["waiting_for"] == {"reason": "processor", "until": None}
    [listed] = (await services.client.get("/tasks", params={"queue": "unserved"})).json()["items"]
    assert listed["waiting_for"] == waiting["waiting_for"] == read["waiting_for"]
    assert (await _post(services.client))["waiting_for"] is None


async def test_put_takes_the_body_that_get_gave_of_a_waiting_task(services: Services) -> None:
    """What Taskmill computes may be sent back; policies change, and what only Taskmill sets does not."""
    task = await _post(services.client, run_at=FAR_AWAY, max_attempts=3, backoff=QUICK, timeout_seconds=9)
    path = f"/tasks/{task['id']}"
    read = (await services.client.get(path)).json()
    assert (await services.client.put(path, json=read)).json() == read
    problem = assert_problem(
        await services.client.put(path, json={**read, "attempt_limit": 99}), 422, "field_not_editable"
    )
    assert problem["errors"][0]["pointer"] == "/attempt_limit"
    assert (await services.client.post(f"{path}/cancel")).status_code == 200
    changed = (await services.client.patch(path, json={"backoff": {"factor": 2.5}, "max_attempts": None})).json()
    assert (changed["backoff"]["factor"], changed["backoff"]["base_seconds"]) == (2.5, 0.02)
    assert (changed["max_attempts"], changed["timeout_seconds"]) == (None, 9)


async def test_a_full_queue_takes_no_more(database_url: str, nats_url: str) -> None:
    """429 for what would not fit, nothing of it is stored, and there is room again when a task has left."""
    async with running_services(database_url, nats_url, processors=0, max_queued_tasks=3) as services:
        client = services.client
        first = await _post(client, process=True)
        batch = {"tasks": [{"title": "t", "process": True} for _ in range(3)]}
        response = await client.post("/tasks/batch", json=batch)
        assert_problem(response, 429, "queue_full")
        assert int(response.headers["retry-after"]) > 0
        assert len((await client.get("/tasks")).json()["items"]) == 1
        await _post(client, process=True)
        await _post(client, run_at=FAR_AWAY)
        pending = await _post(client)
        assert_problem(await client.post(f"/tasks/{pending['id']}/process"), 429, "queue_full")
        await _post(client, queue="other", process=True)
        assert (await client.post(f"/tasks/{first['id']}/cancel")).status_code == 200
        assert (await client.post(f"/tasks/{pending['id']}/process")).status_code == 202
