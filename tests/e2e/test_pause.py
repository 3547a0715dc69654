"""A queue that is paused while tasks stream through it, in a stack whose processes are killed."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx
import pytest

from benchmarks.machine import server_directory
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.settings import NatsSettings
from tests.integration.runtime.test_discovery import asked
from tests.support.actors import running
from tests.support.eventually import eventually, holds
from tests.support.stack import TaskmillUp

TASKS_AT_ONCE = 20
OBEYED_WITHIN = timedelta(seconds=1)


async def create(client: httpx.AsyncClient, **fields: Any) -> None:
    """Have some tasks processed, whoever is away at the moment."""
    task = {"title": "Say hello", "process": True, **fields}

    async def post() -> None:
        try:
            answer = await client.post("/tasks/batch", json={"tasks": [task] * TASKS_AT_ONCE})
        except httpx.HTTPError as error:
            raise AssertionError from error
        assert answer.status_code == httpx.codes.CREATED, answer.text

    await holds(post, within_seconds=30, every_seconds=0.2)


async def queue_of(client: httpx.AsyncClient, name: str = "default") -> dict[str, Any]:
    """What is told of a queue."""
    try:
        answer = await client.get("/queues")
    except httpx.HTTPError as error:
        raise AssertionError from error
    assert answer.status_code == httpx.codes.OK, answer.text
    [found] = [queue for queue in answer.json()["items"] if queue["name"] == name]
    told: dict[str, Any] = found
    return told


class Start(NamedTuple):
    """A handler that was called."""

    task_id: str
    at: datetime
    attempt: int
    delivery: int


async def starts(client: httpx.AsyncClient) -> list[Start]:
    """Every start that there was, in order."""
    found: list[Start] = []
    position = 0
    while True:
        page = (await client.get("/events", params={"after": position, "type": "started", "limit": 200})).json()
        for event in (item["event"] for item in page["items"]):
            told = event["data"]
            at = datetime.fromisoformat(told["started_at"])
            found.append(Start(event["subject"], at, told["attempt"], told["delivery"]))
        if position >= page["newest"] or page["next_after"] == position:
            return found
        position = page["next_after"]


@pytest.mark.timeout(240)
async def test_a_pause_is_obeyed_and_outlives_everybody() -> None:
    """No task begins later than a second after the answer, whoever is killed; then all of them end, as if at once."""
    with server_directory() as path:
        stack = TaskmillUp(path / "data", processors=2, environment={"TASKMILL_RECONCILE_INTERVAL_SECONDS": "1"})
        await stack.start()
        try:
            async with httpx.AsyncClient(base_url=stack.url, timeout=20) as client:
                await _pause_and_kill(stack, client)
        finally:
            await stack.end()


async def _pause_and_kill(stack: TaskmillUp, client: httpx.AsyncClient) -> None:
    is_over = asyncio.Event()
    created = 0

    async def stream() -> None:
        nonlocal created
        while not is_over.is_set():
            await create(client, kind="sleep", payload={"seconds": 0.01})
            created += TASKS_AT_ONCE

    streaming = asyncio.create_task(stream())
    try:
        await holds(lambda: _has_finished(client, stack.processors))
        answer = await client.post("/queues/default/pause")
        answered_at = datetime.now(UTC)
        assert (answer.status_code, answer.json()["is_paused"]) == (200, True)
        await stack.kill("task-store")
        await stack.kill("nats-server")
        await stack.kill("processor-1")
        before = created
        await eventually(lambda: created > before, within_seconds=60)
    finally:
        is_over.set()
        await streaming
    await _is_still_paused(client)
    before_resume = await starts(client)
    late = [start for start in before_resume if start.at > answered_at + OBEYED_WITHIN]
    assert not late, f"begun after the pause: {late}"

    resumed = await client.post("/queues/default/resume")
    assert (resumed.status_code, resumed.json()["is_paused"]) == (200, False)

    async def check_all_done() -> None:
        told = await queue_of(client)
        assert (sum(told["depth"].values()), told["in_progress"]) == (0, 0)

    await holds(check_all_done, within_seconds=60)
    failed = await client.get("/tasks", params={"status": "failed"})
    assert failed.json()["items"] == []
    # Nothing looks like a crash but what was at work when its processor was killed.
    begun_before = {start.task_id for start in before_resume}
    after = (await starts(client))[len(before_resume) :]
    assert len(after) > TASKS_AT_ONCE
    assert [start for start in after if start.attempt > 1] == []
    assert [start for start in after if start.delivery > 1 and start.task_id not in begun_before] == []


async def _has_finished(client: httpx.AsyncClient, processors: int) -> None:
    told = await queue_of(client)
    assert (told["finished_per_second"] or 0) > 0
    assert told["processor_count"] == processors


async def _is_still_paused(client: httpx.AsyncClient) -> None:
    async def check_served_again() -> None:
        told = await queue_of(client)
        assert told["is_paused"]
        assert told["processor_count"] >= 1
        assert told["depth"]["medium"] > 0
        assert (told["oldest_age_seconds"] or 0) > 0

    await holds(check_served_again, within_seconds=60)


@pytest.mark.timeout(120)
async def test_a_stack_tells_who_is_there() -> None:
    """Over HTTP and over NATS, and what nobody serves."""
    with server_directory() as path:
        stack = TaskmillUp(path / "data", processors=2)
        await stack.start()
        try:
            nats_url = stack.entries()["nats-server"]["url"] or ""
            settings = NatsSettings(nats_url=nats_url)
            async with (
                httpx.AsyncClient(base_url=stack.url, timeout=20) as client,
                running(NatsSession(settings, client_name="test")) as session,
            ):
                await create(client, queue="nobody-serves-it")

                async def check_fleet() -> None:
                    fleet = (await client.get("/health")).json()["fleet"]
                    assert fleet == {
                        "processors": stack.processors,
                        "paused_queues": 0,
                        "unserved_queues": ["nobody-serves-it"],
                        "unknown_kinds": [],
                        "differing_kinds": [],
                    }

                await holds(check_fleet)
                processors = (await client.get("/processors")).json()["items"]
                assert all(processor["slots"] == 100 and processor["started_at"] for processor in processors)
                everybody = stack.gateways + stack.processors + stack.stores
                found = await asked(session, "$SRV.PING", answers=everybody)
        finally:
            await stack.end()
    ids = {processor["id"] for processor in processors}
    assert {answer["id"] for answer in found if answer["name"] == "taskmill-processor"} == ids
    assert Counter(answer["name"] for answer in found) == {
        "taskmill-gateway": stack.gateways,
        "taskmill-processor": stack.processors,
        "taskmill-task-store": stack.stores,
    }
