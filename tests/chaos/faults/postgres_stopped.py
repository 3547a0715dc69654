"""PostgreSQL's immediate stop: SIGQUIT to its first process."""

import os
import signal

from tests.chaos.faults.fault import FaultMissedError, Scene


async def postgres_stopped(scene: Scene) -> str:
    """Every backend ends at once, without a checkpoint."""
    pid = scene.stack.postgres.pid
    if pid is None:
        raise FaultMissedError("PostgreSQL does not run")
    os.kill(pid, signal.SIGQUIT)
    await scene.stack.restart_postgres()
    return scene.stack.postgres.name
