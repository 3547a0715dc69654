"""The handlers of the test processors. Each says in the effects ledger that it began, and that it came to its end."""

import asyncio
import os
import signal
import time
import uuid
from functools import cache
from pathlib import Path
from typing import Any

from taskmill.sdk import Context, TaskApp
from tests.chaos.checker.history import LIMITED_KIND, SUBMITTED
from tests.chaos.ledger import LEDGER_VARIABLE, Ledger

MEBIBYTE = 1024 * 1024

app = TaskApp("chaos")

POISON = {
    "chaos-exit": "crash_loop",
    "chaos-segfault": "crash_loop",
    "chaos-endless": "timeout",
    "chaos-too-large": "bad_result",
}
"""The kinds that no processor can do, and the error that their tasks must fail with."""


@cache
def ledger() -> Ledger:
    """The ledger of this process, opened at the first effect."""
    return Ledger(Path(os.environ[LEDGER_VARIABLE]))


@app.task("chaos-work")
async def work(payload: dict[str, Any], context: Context) -> dict[str, str]:
    """Take `seconds`. `fails`: how many attempts of a run fail before one does not."""
    execution = uuid.uuid4().hex
    await ledger().append_soon(execution, context, "begin")
    context.log.info("begun", execution=execution)
    await asyncio.sleep(payload["seconds"])
    context.progress(0.5, checkpoint=execution)
    if "submits" in context.labels:
        mark = context.labels["mark"] + SUBMITTED
        context.submit("chaos-work", {"seconds": 0.1}, key="one", labels={"mark": mark})
    if context.attempt <= payload.get("fails", 0):
        raise RuntimeError("this attempt was meant to fail")
    await ledger().append_soon(execution, context, "end")
    return {"execution": execution}


@app.task(LIMITED_KIND)
async def limited(payload: dict[str, Any], context: Context) -> dict[str, str]:
    """The same, of which only some may go on at once."""
    return await work(payload, context)


@app.task("chaos-thread")
def thread(payload: dict[str, Any], context: Context) -> dict[str, str]:
    """Take `seconds` in a thread, which nothing can interrupt."""
    execution = uuid.uuid4().hex
    ledger().append(execution, context, "begin")
    time.sleep(payload["seconds"])
    ledger().append(execution, context, "end")
    return {"execution": execution}


@app.task("chaos-blocking")
async def blocking(payload: dict[str, Any], context: Context) -> dict[str, str]:
    """Hold up the event loop of the processor for `seconds`."""
    execution = uuid.uuid4().hex
    ledger().append(execution, context, "begin")
    time.sleep(payload["seconds"])  # noqa: ASYNC251 -- that is the fault
    ledger().append(execution, context, "end")
    return {"execution": execution}


@app.task("chaos-exit")
async def leave(_payload: Any, context: Context) -> None:
    """End the processor."""
    ledger().append(uuid.uuid4().hex, context, "begin")
    os._exit(1)


@app.task("chaos-segfault")
async def segfault(_payload: Any, context: Context) -> None:
    """End the processor the way a broken extension does."""
    ledger().append(uuid.uuid4().hex, context, "begin")
    os.kill(os.getpid(), signal.SIGSEGV)


@app.task("chaos-endless")
def endless(_payload: Any, context: Context) -> None:
    """Never return."""
    ledger().append(uuid.uuid4().hex, context, "begin")
    while True:
        time.sleep(0.1)


@app.task("chaos-too-large")
async def too_large(_payload: Any, context: Context) -> str:
    """Return more than may be stored."""
    ledger().append(uuid.uuid4().hex, context, "begin")
    return "x" * MEBIBYTE
