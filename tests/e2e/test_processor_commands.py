"""`taskmill processor …`: processors beside the stack."""

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from benchmarks.machine import server_directory
from tests.support.completed import completed_task
from tests.support.eventually import holds
from tests.support.pages import blocks
from tests.support.stack import TaskmillUp

pytestmark = pytest.mark.asyncio(loop_scope="module")

_MAIN = "from taskmill.cli.main import app; app()"

THUMB = """\
#!/bin/sh
read -r payload
echo "taskmill: progress 0.5 half way" >&2
echo "taskmill: log warning $1 $TASKMILL_ATTEMPT" >&2
test "$payload" = '"again"' && test "$TASKMILL_ATTEMPT" = 1 && exit 75
test "$payload" = '"never"' && exit 65
echo "{\\"made\\": $payload}"
"""

HANDLERS = """
from taskmill.sdk import TaskApp

app = TaskApp("own")


@app.task("double", queue="numbers")
def double(payload, ctx):
    return payload * 2
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[TaskmillUp]:
    """A stack without processors."""
    with server_directory() as path:
        stack = TaskmillUp(path / "data", processors=0)
        try:
            await stack.start()
            yield stack
        finally:
            await stack.end()


@asynccontextmanager
async def running_command(stack: TaskmillUp, directory: Path, *arguments: str) -> AsyncIterator[None]:
    """Have a `taskmill` command run beside a stack; in the end it is drained."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _MAIN, *arguments),
        cwd=directory,
        env={**os.environ, "NATS_URL": str(stack.entries()["nats-server"]["url"])},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            _, log = await process.communicate()
    assert process.returncode == 0, log.decode()


async def post(client: httpx.AsyncClient, kind: str, payload: Any, **fields: Any) -> str:
    """Have a task processed."""
    body = {"title": "t", "kind": kind, "payload": payload, "process": True, **fields}
    answer = await client.post("/tasks", json=body)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return str(answer.json()["id"])


async def check_queue_is_known(client: httpx.AsyncClient, kind: str, queue: str) -> None:
    """What a kind declares is known to every store, within a second after one of them has heard it."""
    # As many as meet all stores, if there are several.
    for _ in range(8):
        answer = await client.post("/tasks", json={"title": "t", "kind": kind})
        assert answer.json()["queue"] == queue


async def test_any_program_is_a_worker(stack: TaskmillUp, tmp_path: Path) -> None:
    """It completes, asks for another attempt, and gives up; it is run as docs/handlers.md says."""
    thumb = tmp_path / "thumb.sh"
    thumb.write_text(THUMB)
    thumb.chmod(0o755)
    [command] = [block for block in blocks("docs/handlers.md", "console") if "processor exec" in block]
    async with (
        running_command(stack, tmp_path, *shlex.split(command)[1:]),
        httpx.AsyncClient(base_url=stack.url, trust_env=False, timeout=30) as client,
    ):
        # What its kind declares is known once it has said hello.
        done = await post(client, "thumb", "done", queue="thumbs")
        assert (await completed_task(client, done, within_seconds=30))["result"] == {"made": "done"}
        await holds(lambda: check_queue_is_known(client, "thumb", "thumbs"))
        again, never = [await post(client, "thumb", it) for it in ("again", "never")]
        repeated = await completed_task(client, again, within_seconds=30)
        assert (repeated["result"], repeated["attempt"]) == ({"made": "again"}, 2)
        failed = (await client.get(f"/tasks/{never}", params={"wait": 20})).json()
        assert (failed["status"], failed["error"]["code"], failed["attempt"]) == ("failed", "gave_up", 1)
        lines = (await client.get(f"/tasks/{again}/logs")).json()["items"]
    assert [(line["level"], line["text"]) for line in lines] == [("warning", "--small 1"), ("warning", "--small 2")]


async def test_handlers_are_run(stack: TaskmillUp, tmp_path: Path) -> None:
    """With the queues that they declare, like `python -m taskmill.processor`."""
    (tmp_path / "own.py").write_text(HANDLERS)
    async with (
        running_command(stack, tmp_path, "processor", "run", "own:app", "--concurrency", "3"),
        httpx.AsyncClient(base_url=stack.url, trust_env=False, timeout=30) as client,
    ):
        task = await completed_task(client, await post(client, "double", 4, queue="numbers"), within_seconds=30)
    assert task["result"] == 8


async def test_what_cannot_be_run_is_refused(stack: TaskmillUp) -> None:
    """With a reason, before anything is started."""
    for arguments, reason in [
        (["--kind", "BAD", "--", "cat"], "is no kind"),
        (["--kind", "k", "--attempts", "1000", "--", "cat"], "max_attempts"),
        (["--kind", "k", "--", "./no-such-program"], "is no program here"),
        (["--kind", "k"], "Missing argument"),
    ]:
        status, output = await stack.run_beside("processor", "exec", *arguments)
        assert (status, reason in output) == (2, True), output
    status, output = await stack.run_beside("processor", "run", "nosuch:app")
    nats, wrong = output.splitlines()
    address = str(stack.entries()["nats-server"]["url"]).rpartition("@")[2].removeprefix("nats://")
    assert (status, nats) == (2, f"taskmill: NATS at nats://{address} (the stack on {stack.data_dir})"), output
    assert wrong.startswith("taskmill: No app at 'nosuch:app': there is no module 'nosuch'."), output
    status, output = await stack.run_beside("processor", "exec", "--kind", "echo", "--", "cat")
    assert (status, "Two handlers are registered" in output) == (2, True), output
