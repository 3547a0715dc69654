"""A set of failed tasks is done again: one request, followed to its end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.machine import server_directory
from tests.support.eventually import holds
from tests.support.stack import TaskmillUp

TASKS = 200

HANDLERS = """
from pathlib import Path

from taskmill.sdk import TaskApp

app = TaskApp("repairable")


@app.task("repairable")
async def repairable(payload, ctx):
    if not Path(payload).exists():
        raise RuntimeError("not yet")
    return "done"
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with handlers that fail until they are repaired."""
    with server_directory() as path:
        (path / "repairable.py").write_text(HANDLERS)
        yield path


async def carried_out(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    """Begin a bulk operation, and return it once it is completed."""
    begun = await client.post("/tasks/bulk", json=body)
    assert begun.status_code == httpx.codes.ACCEPTED, begun.text

    async def operation() -> dict[str, Any]:
        found: dict[str, Any] = (await client.get(begun.headers["location"])).json()
        assert found["status"] == "completed", found
        return found

    return await holds(operation, within_seconds=20)


async def count(client: httpx.AsyncClient, **conditions: str) -> int:
    """How many tasks meet conditions, up to one page."""
    answer = await client.get("/tasks", params={"limit": 200, **conditions})
    return len(answer.json()["items"])


async def test_two_hundred_failed_tasks_are_done_again(directory: Path) -> None:
    """Their handler is repaired, a dry run counts them, and then all are completed, each in one more run."""
    repaired = directory / "repaired"
    environment = {"TASKMILL_APPS": "repairable:app", "PYTHONPATH": str(directory)}
    stack = TaskmillUp(directory / "data", environment=environment)
    await stack.start()
    try:
        async with httpx.AsyncClient(base_url=stack.url, timeout=30, trust_env=False) as client:
            task = {"title": "Again", "kind": "repairable", "payload": str(repaired), "process": True}
            await client.post("/tasks/batch", json={"tasks": [task] * TASKS})
            await client.post("/tasks", json={"title": "Another", "process": True})

            async def check_failed() -> None:
                assert await count(client, status="failed") == TASKS

            await holds(check_failed, within_seconds=30)
            repaired.touch()
            wanted = {"action": "process", "filter": {"status": ["failed"], "kind": "repairable"}}
            dry = await carried_out(client, **wanted, dry_run=True)
            assert dry["counts"] == {"matched": TASKS, "done": 0, "refused": 0}
            operation = await carried_out(client, **wanted)
            assert operation["counts"] == {"matched": TASKS, "done": TASKS, "refused": 0}

            async def check_completed() -> None:
                assert await count(client, status="completed", kind="repairable") == TASKS

            await holds(check_completed, within_seconds=30)
            tasks = (await client.get("/tasks", params={"limit": 200, "kind": "repairable"})).json()["items"]
            assert {(task["run"], task["attempt"], task["error"]) for task in tasks} == {(2, 2, None)}
    finally:
        await stack.end()
