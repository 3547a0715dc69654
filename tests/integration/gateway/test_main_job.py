"""The main job: a task is posted, executed and completed, and its history is the same wherever it is read."""

import asyncio
from typing import Any

import httpx
import nats
import pytest
from nats.js.api import ConsumerConfig, DeliverPolicy

from taskmill.contracts.streams import EVENTS_STREAM
from taskmill.sdk import Context, TaskApp
from tests.support.services import Services, running_services

TASKS = 40


async def _post(client: httpx.AsyncClient, **fields: Any) -> str:
    response = await client.post("/tasks", json={"title": "t", "process": True, **fields})
    assert response.status_code == 201, response.text
    task_id: str = response.json()["id"]
    return task_id


async def _published(nats_url: str, task_id: str) -> list[bytes]:
    """Every event of a task, read by a subscriber that comes late."""
    connection = await nats.connect(nats_url)
    jetstream = connection.jetstream()
    config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
    subscription = await jetstream.subscribe(
        f"tasks.v1.event.*.*.{task_id}", stream=EVENTS_STREAM, config=config, ordered_consumer=True
    )
    messages: list[bytes] = []
    while not messages or b".completed.v1" not in messages[-1]:
        messages.append((await subscription.next_msg(timeout=5)).data)
    await connection.close()
    return messages


async def _history(services: Services, task_id: str) -> bytes:
    return (await services.client.get(f"/tasks/{task_id}/events", params={"limit": 200})).content


@pytest.mark.parametrize("stores", [1, 2])
async def test_everything_posted_is_completed(stores: int, database_url: str, nats_url: str) -> None:
    """Each task completes once, its versions have no gap, and its events are the same bytes on NATS and over REST."""
    async with running_services(database_url, nats_url, stores=stores, processors=2) as services:
        posted = await asyncio.gather(*(_post(services.client, payload=number) for number in range(TASKS)))
        tasks = await asyncio.gather(*(services.completed(task_id) for task_id in posted))
        assert [task["result"] for task in tasks] == list(range(TASKS))
        assert {task["attempt"] for task in tasks} == {1}
        for task_id in posted[::8]:
            published = await _published(nats_url, task_id)
            history = await _history(services, task_id)
            assert b'{"items":[' + b",".join(published) + b"]," in history
            events = (await services.client.get(f"/tasks/{task_id}/events")).json()["items"]
            assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))


async def test_a_task_is_processed_again(database_url: str, nats_url: str) -> None:
    """A finished task can be asked for once more: another run, another attempt, one history."""
    async with running_services(database_url, nats_url) as services:
        path = f"/tasks/{await _post(services.client, payload={'answer': 42})}"
        task = await services.completed(path.removeprefix("/tasks/"))
        assert task["result"] == {"answer": 42}
        response = await services.client.post(f"{path}/process")
        assert (response.status_code, response.json()["run"], response.headers["location"]) == (202, 2, path)
        assert (await services.completed(task["id"]))["attempt"] == 2
        attempts = (await services.client.get(f"{path}/attempts")).json()["items"]
        assert [(attempt["run"], attempt["outcome"]) for attempt in attempts] == [(1, "completed"), (2, "completed")]


async def test_the_largest_result_makes_the_round_trip(database_url: str, nats_url: str) -> None:
    """A result of 256 KiB is kept and read, GET's body can be sent back, and one byte more fails the task."""
    app = TaskApp("test")

    @app.task("produce")
    async def produce(payload: int, _context: Context) -> str:
        return "x" * (payload - 2)

    async with running_services(database_url, nats_url, apps=[app]) as services:
        task = await services.completed(await _post(services.client, kind="produce", payload=256 * 1024))
        assert task["result"] == "x" * (256 * 1024 - 2)
        put = await services.client.put(f"/tasks/{task['id']}", json={**task, "title": "new"})
        assert put.status_code == 200, put.text
        too_large = await _post(services.client, kind="produce", payload=256 * 1024 + 1)
        task = await services.ended(too_large)
        assert (task["status"], task["error"]["code"]) == ("failed", "bad_result")
