"""A service, put together by its own bootstrap, in the process of a test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from taskmill.runtime.supervisor import RunState, Supervisor
from tests.support.eventually import holds


@asynccontextmanager
async def running_service(supervisor: Supervisor, *, drain_within_seconds: float = 20) -> AsyncIterator[Supervisor]:
    """Run a service, from when all its actors run until it has drained.

    Raises:
        RuntimeError: It ended instead of starting, if it did not raise anything itself.
        TimeoutError: It did not drain in time.
    """
    serving = asyncio.create_task(supervisor.run())

    def check_running() -> None:
        if serving.done():
            serving.result()
            raise RuntimeError("the service has ended")
        assert set(supervisor.states().values()) == {RunState.RUNNING}, supervisor.states()

    try:
        await holds(check_running)
        yield supervisor
    finally:
        supervisor.stop()
        async with asyncio.timeout(drain_within_seconds):
            await serving
