"""Handlers with a process of their own, in a module that such a process can import."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel

from taskmill.sdk import Context, Depends, NotNow, Retry, TaskApp, TaskFailedError

app = TaskApp("own-process")


class Order(BaseModel):
    """What they take."""

    number: int = 0
    file: Path | None = None


class BadOrderError(Exception):
    """Not worth another attempt."""


def half(order: Order) -> float:
    """A dependency."""
    return order.number / 2


@app.task("double", process=True)
def double(order: Order, ctx: Context, halved: Annotated[float, Depends(half)]) -> dict[str, float]:
    """Say where it runs, and compute."""
    ctx.log.info("at work", pid=os.getpid())
    ctx.progress(0.5, "half way")
    return {"pid": os.getpid(), "doubled": order.number * 2, "halved": halved, "attempt": ctx.attempt}


@app.task("hang", process=True)
def hang(order: Order, ctx: Context) -> None:
    """Start a process, tell who both are, and hang where no Python thread can be interrupted."""
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    assert order.file is not None
    order.file.write_text(f"{os.getpid()} {child.pid}")
    ctx.progress(0.1)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Event().wait()


@app.task("spin", process=True)
def spin(order: Order, ctx: Context) -> None:
    """Start a process, tell who both are, and compute without letting any other Python thread go on."""
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    assert order.file is not None
    order.file.write_text(f"{os.getpid()} {child.pid}")
    ctx.progress(0.1)
    re.match("(a+)+$", "a" * 60 + "!")


@app.task("fork", process=True)
def fork(order: Order, ctx: Context) -> None:
    """Fork a process that has all that is open here, and is of a group of its own or not; tell who it is, and die."""
    telling, told = os.pipe()
    child = os.fork()
    if child == 0:
        if order.number:
            os.setsid()
        os.write(told, b"!")
        signal.pause()
        os._exit(0)
    os.read(telling, 1)
    assert order.file is not None
    order.file.write_text(f"{os.getpid()} {child}")
    ctx.progress(0.1)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task("extend", process=True)
def extend(_order: Order, ctx: Context) -> bool:
    """Ask for more time, until that is told."""
    before = ctx.deadline
    ctx.extend(60)
    assert before is not None
    assert ctx.deadline is not None
    return ctx.deadline > before


@app.task("end", process=True, retry=Retry(attempts=3, give_up=(BadOrderError,)))
def end(order: Order, _ctx: Context) -> None:
    """End in some way."""
    match order.number:
        case 0:
            os.kill(os.getpid(), signal.SIGKILL)
        case 1:
            raise NotNow(7)
        case 2:
            raise TaskFailedError("quota_exceeded", "Too much.")
        case 3:
            raise BadOrderError("No such size.")
        case 4:
            sys.exit(3)
        case 5:
            os._exit(3)
        case _:
            raise ValueError("no")


@app.task("bad-result", process=True)
def bad_result(_order: Order, _ctx: Context) -> object:
    """Return what cannot be kept."""
    return object()


@app.task("split", process=True)
def split(_order: Order, ctx: Context) -> dict[str, object]:
    """Go on from a checkpoint, submit a task and leave another checkpoint."""
    task_id = ctx.submit("echo", {"part": 1}, key="first")
    ctx.progress(0.5, checkpoint={"page": 2})
    return {"before": ctx.checkpoint, "submitted": str(task_id)}


@app.task("leave-behind", process=True)
def leave_behind(order: Order, ctx: Context) -> None:
    """Leave a thread behind that speaks again and again; what comes of that is written to a file."""
    assert order.file is not None
    told = order.file

    def speak() -> None:
        for number in range(500):
            ctx.log.info("from beyond")
            ctx.submit("echo", number)
            ctx.extend(60)
            told.write_text(str(number))
            threading.Event().wait(0.01)

    threading.Thread(target=speak, daemon=True).start()


@app.task("wait-for-thread", process=True)
def wait_for_thread(order: Order, _ctx: Context) -> None:
    """Wait until the thread that another call has left behind has spoken twice more."""
    assert order.file is not None
    for _ in range(2):
        before = order.file.read_text() if order.file.exists() else ""
        while not order.file.exists() or order.file.read_text() in {"", before}:
            threading.Event().wait(0.01)
