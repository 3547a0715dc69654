"""What a handler logs is seen by who reads the lines of its task, and by who follows the task."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.machine import server_directory
from tests.support.completed import completed_task
from tests.support.event_stream import streaming
from tests.support.stack import TaskmillUp

HANDLERS = """
from taskmill.sdk import TaskApp

app = TaskApp("talkative")


@app.task("talkative")
def talkative(payload, ctx):
    ctx.log.debug("for the developer")
    for number in range(payload):
        ctx.log.info("page fetched", number=number)
    ctx.log.warning("odd \\x00 \\ud800")
"""
LINES = 1_200


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a handler that logs."""
    with server_directory() as path:
        (path / "talkative.py").write_text(HANDLERS)
        yield path


async def test_what_a_handler_logs_is_read_and_followed(directory: Path) -> None:
    """Of more lines than are kept the newest are there, and all are accounted for, in pages and in the stream."""
    environment = {"TASKMILL_APPS": "talkative:app", "PYTHONPATH": str(directory)}
    stack = TaskmillUp(directory / "data", environment=environment)
    try:
        await stack.start()
        async with httpx.AsyncClient(base_url=stack.url, trust_env=False, timeout=30) as client:
            body = {"title": "t", "kind": "talkative", "payload": LINES, "process": True}
            task = (await client.post("/tasks", json=body)).json()
            path = f"/tasks/{task['id']}"
            told, dropped = [], 0
            async with streaming(client, f"{path}/events") as stream:
                while (event := (await stream.take(1))[0]).type != "completed":
                    if event.type == "logged":
                        told += event.data["data"]["lines"]
                        dropped += event.data["data"]["dropped"]
            await completed_task(client, task["id"], within_seconds=20)
            kept, page = [], (await client.get(f"{path}/logs", params={"limit": 200})).json()
            while True:
                kept += page["items"]
                if page["next_cursor"] is None:
                    break
                page = (await client.get(f"{path}/logs", params={"limit": 200, "cursor": page["next_cursor"]})).json()
        assert len(told) + dropped == LINES + 1
        assert kept == told[-len(kept) :]
        assert (kept[0]["position"], kept[-1]["position"]) == (LINES + 2 - len(kept), LINES + 1)
        assert page["dropped"] == LINES + 1 - len(kept)
        assert (kept[-1]["level"], kept[-1]["text"]) == ("warning", "odd \ufffd ?")
        assert kept[-2]["text"] == f"page fetched number={LINES - 1}"
    finally:
        await stack.end()
