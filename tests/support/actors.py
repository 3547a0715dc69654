"""Run an actor without a supervisor."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from taskmill.runtime.actor import Actor

ActorT = TypeVar("ActorT", bound=Actor)


@asynccontextmanager
async def running(actor: ActorT, *, within_seconds: float = 10) -> AsyncIterator[ActorT]:
    """Yield the actor once it serves; drain it at the end. A crash of it is raised."""
    started = asyncio.Event()
    task = asyncio.create_task(actor.run(started.set))
    serving = asyncio.create_task(started.wait())
    try:
        await asyncio.wait({task, serving}, timeout=within_seconds, return_when=asyncio.FIRST_COMPLETED)
        if not started.is_set():
            if task.done():
                task.result()
            raise AssertionError(f"{actor.name} did not start within {within_seconds} s")
        yield actor
    finally:
        serving.cancel()
        actor.stop()
        _, unfinished = await asyncio.wait({task}, timeout=within_seconds)
        task.cancel()
        assert not unfinished, f"{actor.name} did not drain within {within_seconds} s"
    task.result()
