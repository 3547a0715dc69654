"""What handlers submit is made exactly once each, whatever is killed meanwhile."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.machine import server_directory
from tests.support.eventually import eventually, holds
from tests.support.stack import TaskmillUp

HANDLERS = """
import asyncio

from taskmill.sdk import Retry, TaskApp

app = TaskApp("splitting")


@app.task("split", retry=Retry(attempts=3))
async def split(payload, ctx):
    for part in range(3):
        ctx.submit("echo", part, title=f"{payload}.{part}", labels={"made": "yes"})
        await asyncio.sleep(0.3)
"""
PARENTS = 40
PARTS = 3
KILLED = ("task-store", "processor-1", "task-store")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a handler that submits."""
    with server_directory() as path:
        (path / "splitting.py").write_text(HANDLERS)
        yield path


async def kill(stack: TaskmillUp, name: str) -> None:
    """Kill a process of the stack, and wait until another has taken its place."""
    pid = stack.entries()[name]["pid"]
    os.kill(pid, signal.SIGKILL)

    def is_replaced() -> bool:
        entry = stack.entries().get(name)
        return entry is not None and entry["pid"] != pid

    await eventually(is_replaced, within_seconds=20)


async def pages(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    """All tasks of a list, whoever is being started again."""
    items: list[dict[str, Any]] = []
    while path:
        try:
            answer = await client.get(path)
        except httpx.HTTPError as error:
            raise AssertionError from error
        assert answer.status_code == httpx.codes.OK, answer.text
        items += answer.json()["items"]
        path = answer.links.get("next", {}).get("url", "")
    return items


@pytest.mark.timeout(240)
async def test_each_task_is_made_once_whoever_is_killed(directory: Path) -> None:
    """Stores and processors are killed while handlers submit; all parents complete, and each part is there once."""
    environment = {
        "TASKMILL_APPS": "splitting:app",
        "PYTHONPATH": str(directory),
        "TASKMILL_WORK_ACK_WAIT_SECONDS": "2",
        "TASKMILL_LEASE_SECONDS": "3",
    }
    stack = TaskmillUp(directory / "data", environment=environment)
    try:
        await stack.start()
        async with httpx.AsyncClient(base_url=stack.url, trust_env=False, timeout=30) as client:
            tasks = [
                {"title": f"{number}", "kind": "split", "payload": number, "process": True, "labels": {"parent": "yes"}}
                for number in range(PARENTS)
            ]
            assert (await client.post("/tasks/batch", json={"tasks": tasks})).status_code == httpx.codes.CREATED
            for number, name in enumerate(KILLED):

                async def check_made(least: int = 10 * (number + 1)) -> None:
                    assert len(await pages(client, "/tasks?label=made:yes&limit=200")) >= least

                await holds(check_made, within_seconds=60, every_seconds=0.05)
                await kill(stack, name)

            async def check_completed() -> None:
                found = await pages(client, "/tasks?label=parent:yes&limit=200")
                assert Counter(task["status"] for task in found) == {"completed": PARENTS}

            await holds(check_completed, within_seconds=90, every_seconds=0.2)
            made = await pages(client, "/tasks?label=made:yes&limit=200")
        expected = {f"{number}.{part}" for number in range(PARENTS) for part in range(PARTS)}
        assert Counter(task["title"] for task in made) == Counter(expected)
    finally:
        await stack.end()
