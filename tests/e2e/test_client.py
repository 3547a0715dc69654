"""A client watches and waits while what it talks to is killed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from benchmarks.machine import server_directory
from taskmill.sdk.client import Event, TaskToSubmit
from tests.support.clients import KINDS, Losses, client_of_kind
from tests.support.eventually import holds
from tests.support.stack import TaskmillUp

BATCH = 100
KILLS = ("gateway", "task-store", "gateway", "nats-server")


@pytest_asyncio.fixture
async def stack() -> AsyncIterator[TaskmillUp]:
    """Everything, as a user starts it."""
    with server_directory() as directory:
        stack = TaskmillUp(directory / "data")
        try:
            await stack.start()
            yield stack
        finally:
            await stack.end()


async def _log(stack: TaskmillUp) -> list[tuple[int, str]]:
    connection = await asyncpg.connect(stack.entries()["postgres"]["url"])
    try:
        rows = await connection.fetch("SELECT position, document FROM task_events ORDER BY position")
    finally:
        await connection.close()
    return [(row["position"], row["document"]) for row in rows]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.timeout(180)
async def test_a_watch_misses_nothing(kind: str, stack: TaskmillUp) -> None:
    """Of what is submitted meanwhile, each task once, it gets exactly the log, byte for byte, whoever is killed."""
    seen: list[Event] = []
    losses = Losses()

    async def watch(client: Any) -> None:
        async for event in client.watch():
            seen.append(event)
            if event.data["labels"] == {"last": "one"} and event.type == "completed":
                return

    async with client_of_kind(kind, stack.url, losses) as client:
        watching = asyncio.ensure_future(watch(client))
        # Its position is known before anything happens.
        await holds(lambda: _is_streaming(losses))
        async with client_of_kind(kind, stack.url, attempts=100, retry_within_seconds=60) as submitter:
            for number, name in enumerate(KILLS):
                tasks: list[TaskToSubmit] = [{"kind": "echo", "labels": {"batch": f"{number}"}}] * BATCH
                _, receipts = await asyncio.gather(stack.kill(name), submitter.submit_many(tasks))
                assert len(receipts) == BATCH
            await submitter.run("echo", labels={"last": "one"}, within_seconds=60)
        async with asyncio.timeout(60):
            await watching
    # Several processors may be at others while the last one is done.
    log = [(position, document) for position, document in await _log(stack) if position <= seen[-1].position]
    assert [(event.position, event.document.decode()) for event in seen] == log
    assert len({event.task_id for event in seen}) == len(KILLS) * BATCH + 1
    streams = [request for request in losses.requests if request.headers["accept"] == "text/event-stream"]
    assert len(streams) > len(KILLS) / 2


def _is_streaming(losses: Losses) -> None:
    assert len(losses.requests) == 2, losses.requests


@pytest.mark.parametrize("kind", KINDS)
async def test_a_run_is_waited_for_over_a_kill(kind: str, stack: TaskmillUp) -> None:
    """It returns what came out, of one task; a watch of that task ends with it."""
    async with client_of_kind(kind, stack.url) as client:
        running = asyncio.ensure_future(client.run("sleep", {"seconds": 4, "steps": 4}, within_seconds=60))
        task = await holds(lambda: _started_task(client))
        watching = asyncio.ensure_future(_all(client.watch(task.id)))
        assert not running.done()
        await stack.kill("gateway")
        done = await running
        assert (done.id, done.status, done.attempt) == (task.id, "completed", 1)
        events = await watching
        assert [event.version for event in events] == list(range(1, done.version + 1))
        assert [event.type for event in events if event.type != "progressed"][-2:] == ["started", "completed"]
        assert [one.id async for one in client.list()] == [done.id]


async def _started_task(client: Any) -> Any:
    tasks = [task async for task in client.list(status="in_progress")]
    assert len(tasks) == 1, tasks
    return tasks[0]


async def _all(iterator: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in iterator]
