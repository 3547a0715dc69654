"""A service process that is started again whenever it dies, as an orchestrator would."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from taskmill.cli.child_process import ChildProcess
from taskmill.runtime.failpoint import FAILPOINT_VARIABLE
from tests.chaos.ledger import PROCESSOR_VARIABLE
from tests.support.eventually import eventually

_RESTART_PAUSE_SECONDS = 0.2
_SETTLED_SECONDS = 1
_SETTLED_WITHIN_SECONDS = 30


class KeptProcess:
    """One service of the stack under test.

    Args:
        name: Such as "processor-1"; also the name of its log.
        module: What `python -m` runs, such as "taskmill.processor".
        directory: Where its log and pid file go.
        environment: What it is told, beside this process' own environment.
    """

    def __init__(self, name: str, module: str, directory: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self._command = (sys.executable, "-m", "tests.chaos.bootstrap", module)
        self._environment = {**os.environ, **environment}
        self._child = ChildProcess(
            name,
            pid_file=directory / f"{name}.pid",
            log_file=directory / f"{name}.log",
            stop_within_seconds=15,
        )
        self._starts = 0
        self._started_at = 0.0
        self._next_failpoint: str | None = None
        self._armed: str | None = None
        self._failpoint_reached = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to keep it running."""
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def stop(self) -> None:
        """Ask it to drain, and let it be dead."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._child.is_running:
            self._signal(signal.SIGCONT)
        await self._child.stop()

    async def kill(self) -> None:
        """Kill it, wherever it is beyond its imports; it is started again."""
        await eventually(self._has_settled, within_seconds=_SETTLED_WITHIN_SECONDS)
        await self._child.kill()

    def drain(self) -> None:
        """Ask it to drain; it is started again."""
        self._signal(signal.SIGTERM)

    def suspend(self) -> None:
        """Stop it in its tracks: it is not dead, and holds what it holds."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on, as if no time had passed."""
        self._signal(signal.SIGCONT)

    async def die_at(self, failpoint: str, nth: int, *, within_seconds: float) -> bool:
        """Kill it, have it die the nth time that it passes a failpoint, and start it again as usual.

        Returns:
            Whether it passed there in time. If it did not, or this is cancelled, it is killed, and disarmed so.
        """
        self._next_failpoint = f"{failpoint}:{nth}"
        self._failpoint_reached.clear()
        await self._child.kill()
        try:
            async with asyncio.timeout(within_seconds):
                return await self._failpoint_reached.wait()
        except TimeoutError:
            return False
        finally:
            if not self._failpoint_reached.is_set():
                self._armed = self._next_failpoint = None
                await self._child.kill()

    def _has_settled(self) -> bool:
        return self._child.is_running and time.monotonic() > self._started_at + _SETTLED_SECONDS

    async def _keep(self) -> None:
        while True:
            self._armed, self._next_failpoint = self._next_failpoint, None
            self._starts += 1
            environment = {**self._environment, PROCESSOR_VARIABLE: f"{self.name}-{self._starts}"}
            if self._armed is not None:
                environment[FAILPOINT_VARIABLE] = self._armed
            await self._child.spawn(self._command, environment=environment)
            self._started_at = time.monotonic()
            status = await self._child.wait()
            if self._armed is not None and status == -signal.SIGKILL:
                self._failpoint_reached.set()
            await asyncio.sleep(_RESTART_PAUSE_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        if (pid := self._child.pid) is not None:
            os.kill(pid, number)
