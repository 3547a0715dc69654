"""The main job on a whole stack: tasks are posted over REST, done in the background, and followed without a gap."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import nats
import pytest
from nats.js.api import ConsumerConfig, DeliverPolicy

from benchmarks.client import Client
from benchmarks.machine import server_directory
from tests.support.completed import completed_task
from tests.support.eventually import eventually, holds
from tests.support.paths import ROOT
from tests.support.stack import TaskmillUp
from tests.support.web_page import serve_page

TASKS = 2_000
CONNECTIONS = 32
README = ROOT / "README.md"


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data directory for one test."""
    with server_directory() as path:
        yield path / "data"


@asynccontextmanager
async def running(stack: TaskmillUp) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of a stack that is started, and stopped in the end."""
    await stack.start()
    try:
        limits = httpx.Limits(max_connections=CONNECTIONS)
        async with httpx.AsyncClient(base_url=stack.url, limits=limits, timeout=30) as client:
            yield client
    finally:
        await stack.end()


@asynccontextmanager
async def second_store(stack: TaskmillUp) -> AsyncIterator[None]:
    """Run one more task store beside that of a stack, from when it is well."""
    entries = stack.entries()
    urls = {"DATABASE_URL": entries["postgres"]["url"] or "", "NATS_URL": entries["nats-server"]["url"] or ""}
    health_file = stack.data_dir / "second-store-is-well"
    environment = {**os.environ, **urls, "TASKMILL_HEALTH_FILE": str(health_file)}
    store = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "taskmill.task_store", cwd=stack.data_dir, env=environment
    )
    try:
        await eventually(health_file.exists, within_seconds=30)
        yield
    finally:
        store.terminate()
        async with asyncio.timeout(15):
            assert await store.wait() == 0


async def post(client: httpx.AsyncClient, **task: Any) -> str:
    """Create a task that is processed at once; return its id."""
    answer = await client.post("/tasks", json={"title": "Main job", "process": True, **task})
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return str(answer.json()["id"])


async def post_many(url: str) -> list[str]:
    """Post all tasks over all connections, with a client that costs less than what it asks for."""

    def post_share(first: int) -> list[str]:
        numbers = range(first, TASKS, CONNECTIONS)
        with closing(Client(url, {})) as client:
            return [client.post({"title": f"Task {number}", "payload": number}) for number in numbers]

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        shares = [loop.run_in_executor(threads, post_share, first) for first in range(CONNECTIONS)]
        return [task_id for share in await asyncio.gather(*shares) for task_id in share]


async def check_none_left(client: httpx.AsyncClient) -> None:
    """Assert that every task is completed."""
    unfinished = ["pending", "scheduled", "queued", "in_progress", "failed"]
    answer = await client.get("/tasks", params={"status": unfinished, "limit": 1})
    assert answer.json()["items"] == []


async def events_on_the_bus(nats_url: str, count: int) -> dict[str, list[str]]:
    """Read `count` events as a subscriber that joined late: the documents of each task, in order."""
    connection = await nats.connect(nats_url)
    try:
        config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
        subscription = await connection.jetstream().subscribe("tasks.v1.event.>", ordered_consumer=True, config=config)
        documents: dict[str, list[str]] = {}
        for _ in range(count):
            text = (await subscription.next_msg(timeout=10)).data.decode()
            documents.setdefault(json.loads(text)["subject"], []).append(text)
        with pytest.raises(nats.errors.TimeoutError):
            await subscription.next_msg(timeout=0.2)
        return documents
    finally:
        await connection.close()


@pytest.mark.parametrize("stores", [1, 2])
@pytest.mark.timeout(180)
async def test_every_task_is_completed_and_the_feed_is_the_log(data_dir: Path, stores: int) -> None:
    """Of 2,000 tasks each is completed, its versions have no gap, and the bus has the very bytes that REST answers."""
    stack = TaskmillUp(data_dir)
    async with running(stack) as client:
        if stores == 1:
            task_ids = await post_many(stack.url)
            await holds(lambda: check_none_left(client), within_seconds=60)
        else:
            async with second_store(stack):
                task_ids = await post_many(stack.url)
                await holds(lambda: check_none_left(client), within_seconds=60)

        nats_url = stack.entries()["nats-server"]["url"] or ""
        # created, queued, started, completed
        on_the_bus = await events_on_the_bus(nats_url, 4 * TASKS)
        assert on_the_bus.keys() == set(task_ids)
        for documents in on_the_bus.values():
            assert [json.loads(text)["sequence"] for text in documents] == [1, 2, 3, 4]
        for task_id in task_ids[::8]:
            answer = (await client.get(f"/tasks/{task_id}/events")).text
            assert answer == '{"items":[' + ",".join(on_the_bus[task_id]) + '],"next_cursor":null,"removed":0}'


async def test_a_task_waits_for_a_processor(data_dir: Path) -> None:
    """Queued while no processor runs, it is done when one comes, and a restart of everything lies between."""
    async with running(TaskmillUp(data_dir, processors=0)) as client:
        task_id = await post(client, payload="patience")
        assert (await client.get(f"/tasks/{task_id}")).json()["status"] == "queued"
    async with running(TaskmillUp(data_dir)) as client:
        assert (await completed_task(client, task_id, within_seconds=30))["result"] == "patience"


async def test_a_long_handler_runs_once_and_is_seen_on_its_way(data_dir: Path) -> None:
    """One that takes several times the ack wait keeps its lease: one delivery, with progress between."""
    stack = TaskmillUp(data_dir, environment={"TASKMILL_WORK_ACK_WAIT_SECONDS": "2"})
    async with running(stack) as client:
        task_id = await post(client, kind="sleep", payload={"seconds": 7, "steps": 7})

        async def is_halfway() -> bool:
            progress = (await client.get(f"/tasks/{task_id}")).json()["progress"]
            return bool(progress and 0 < progress["fraction"] < 1)

        await eventually(is_halfway, within_seconds=10)
        await completed_task(client, task_id, within_seconds=30)
        [attempt] = (await client.get(f"/tasks/{task_id}/attempts")).json()["items"]
        assert attempt["delivery"] == 1
        events = (await client.get(f"/tasks/{task_id}/events")).json()["items"]
        types = [event["type"] for event in events]
        assert types.count("taskmill.task.started.v1") == 1
        assert types.count("taskmill.task.progressed.v1") >= 3


async def test_the_example_of_the_readme(data_dir: Path) -> None:
    """It fetches a real page in the background, and the page is in the result."""
    [_, example] = README.read_text().split("Fetch a page in the background, ", 1)
    body = json.loads(example.split("-d '", 1)[1].split("'", 1)[0])
    assert body["payload"]["url"] == "https://example.org/"
    stack = TaskmillUp(data_dir, environment={"TASKMILL_HTTP_ALLOW_PRIVATE": "true"})
    with serve_page("<h1>It is there</h1>") as page_url:
        async with running(stack) as client:
            body["payload"]["url"] = page_url
            task_id = await post(client, **body)
            result = (await completed_task(client, task_id, within_seconds=30))["result"]
    assert result["status"] == httpx.codes.OK
    assert result["body"] == "<h1>It is there</h1>"
