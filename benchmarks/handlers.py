"""A kind of the suite's own, for processors that are started with `TASKMILL_APPS=benchmarks.handlers:app`."""

import asyncio

from pydantic import JsonValue

from taskmill.sdk import Context, TaskApp

app = TaskApp("benchmarks")


@app.task("wait-50-ms")
async def wait(_payload: JsonValue, _context: Context) -> None:
    """Wait as a handler does that asks another service."""
    await asyncio.sleep(0.05)
