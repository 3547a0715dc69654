"""A handler goes on where an execution before it was, also when that took its processor down."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.machine import server_directory
from tests.support.completed import completed_task
from tests.support.stack import TaskmillUp

HANDLERS = """
import os
import signal
import time

from taskmill.sdk import Retry, RetryLater, TaskApp

app = TaskApp("pages")


@app.task("pages", retry=Retry(attempts=2))
def pages(payload, ctx):
    begun_at = ctx.checkpoint or 0
    with open(os.environ["EXECUTIONS"], "a") as file:
        file.write(f"{begun_at}\\n")
    ctx.progress(0.1, checkpoint=begun_at + 1)
    if begun_at == 0:
        # The next execution is of the same work item.
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)
    if begun_at == 1:
        raise RetryLater(0)
    return ctx.checkpoint
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a handler that leaves checkpoints."""
    with server_directory() as path:
        (path / "pages.py").write_text(HANDLERS)
        yield path


async def test_executions_of_a_run_go_on_from_the_newest_checkpoint(directory: Path) -> None:
    """After kill -9 with the work in hand, and after a failed attempt."""
    executions = directory / "executions"
    environment = {
        "TASKMILL_APPS": "pages:app",
        "PYTHONPATH": str(directory),
        "EXECUTIONS": str(executions),
        "TASKMILL_WORK_ACK_WAIT_SECONDS": "2",
    }
    stack = TaskmillUp(directory / "data", environment=environment)
    try:
        await stack.start()
        async with httpx.AsyncClient(base_url=stack.url, trust_env=False, timeout=30) as client:
            body = {"title": "t", "kind": "pages", "process": True}
            task = (await client.post("/tasks", json=body)).json()
            task = await completed_task(client, task["id"], within_seconds=40)
        assert task["result"] == 2
        assert executions.read_text().split() == ["0", "1", "2"]
    finally:
        await stack.end()
