"""Taskmill as its users run it: `taskmill up` with its defaults, on free ports and an empty directory."""

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks.cpu import CpuMeter
from benchmarks.errors import MeasurementError
from benchmarks.machine import ROOT, server_directory
from benchmarks.waiting import eventually
from taskmill.cli.child_process import ChildProcess
from taskmill.cli.embedded.ports import LOOPBACK, free_port
from taskmill.cli.readiness import is_ready
from taskmill.cli.stack import STACK_FILE
from taskmill.cli.stack_file import ListedProcess, read_stack_file

READY_WITHIN_SECONDS = 90.0
COMPLETED_WITHIN_SECONDS = 300.0

_STOP_WITHIN_SECONDS = 15.0
_UNFINISHED = "SELECT EXISTS (SELECT FROM tasks WHERE status IN ('queued', 'in_progress'))"


@dataclass(frozen=True, slots=True)
class RunningStack:
    """Taskmill while it runs.

    Attributes:
        url: Where its gateway listens.
        directory: Where files may be put that go with it.
        processes: What runs, by name, as stack.json lists it.
    """

    url: str
    directory: Path
    processes: Mapping[str, ListedProcess]

    @property
    def database_url(self) -> str:
        """Where its PostgreSQL is."""
        return self.processes["postgres"].url or ""

    @property
    def nats_url(self) -> str:
        """Where its NATS is."""
        return self.processes["nats-server"].url or ""

    @property
    def pids(self) -> Mapping[str, int]:
        """The processes to be measured, by name."""
        return {name: process.pid for name, process in self.processes.items()}

    def cpu_meter(self) -> CpuMeter:
        """A meter of all its processes, which starts now."""
        return CpuMeter(self.pids)

    async def count_tasks(self) -> int:
        """How many tasks PostgreSQL has."""
        return int(await self._ask("SELECT count(*) FROM tasks"))

    async def all_completed(self) -> None:
        """Wait until PostgreSQL has no task that is queued or in progress.

        It is asked 20 times in a second; the index on `status` answers in well under a millisecond.

        Raises:
            MeasurementError: Tasks failed, or some were not finished within 5 minutes.
        """
        connection = await asyncpg.connect(self.database_url)
        try:

            async def none_is_left() -> bool:
                return not await connection.fetchval(_UNFINISHED)

            await eventually(none_is_left, within_seconds=COMPLETED_WITHIN_SECONDS)
            failed = await connection.fetchval("SELECT count(*) FROM tasks WHERE status = 'failed'")
        finally:
            await connection.close()
        if failed:
            raise MeasurementError(f"{failed} tasks failed")

    async def _ask(self, query: str) -> int:
        connection = await asyncpg.connect(self.database_url)
        try:
            return int(await connection.fetchval(query))
        finally:
            await connection.close()


@asynccontextmanager
async def running_stack(processors: int = 1, **variables: str) -> AsyncIterator[RunningStack]:
    """Start Taskmill, yield it once it is ready, and stop it.

    Args:
        processors: How many.
        **variables: Further settings, by the names of their environment variables.
    """
    port = free_port()
    with server_directory() as directory:
        launcher = ChildProcess(
            "taskmill-up",
            pid_file=directory / "up.pid",
            log_file=directory / "up.log",
            stop_within_seconds=_STOP_WITHIN_SECONDS,
        )
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TASKMILL_")},
            "PYTHONPATH": str(ROOT),
            "TASKMILL_DATA": str(directory / "data"),
            "TASKMILL_PORT": str(port),
            "TASKMILL_PROCESSORS": str(processors),
            **variables,
        }
        program = "from taskmill.cli.main import app; app()"
        await launcher.spawn([sys.executable, "-c", program, "up"], environment=environment)
        try:
            await eventually(lambda: _is_up(launcher), within_seconds=READY_WITHIN_SECONDS)
            if not await is_ready(LOOPBACK, port):
                raise MeasurementError(f"taskmill up is not ready: {launcher.log_tail()}")
            yield RunningStack(
                url=f"http://{LOOPBACK}:{port}",
                directory=directory,
                processes=read_stack_file(directory / "data" / STACK_FILE),
            )
        finally:
            await launcher.stop()


def _is_up(launcher: ChildProcess) -> bool:
    if not launcher.is_running:
        raise MeasurementError(f"taskmill up ended: {launcher.log_tail()}")
    return "taskmill ready at" in launcher.log_file.read_text()
