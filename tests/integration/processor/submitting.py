"""A handler that submits, for processors in a process of their own."""

import asyncio
from typing import Any

from taskmill.sdk import Context, TaskApp

app = TaskApp("submitting")


@app.task("submitting")
async def submitting(_payload: Any, context: Context) -> None:
    """Submit two tasks, and go on for so long that they are told before the end."""
    context.submit("echo", title="by number")
    context.submit("echo", title="by key", key="a")
    await asyncio.sleep(0.3)
