"""Taskmill as its users run it: `taskmill up` with its defaults, on free ports and an empty directory.

Or as operators run it: with `operated`, whoever asks needs an API key, and metrics are read from every process.
"""

import asyncio
import os
import re
import sys
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks.client import Client
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
_SCRAPE_EVERY_SECONDS = 15.0
_UNFINISHED = "SELECT EXISTS (SELECT FROM tasks WHERE status IN ('queued', 'in_progress'))"


@dataclass(frozen=True, slots=True)
class RunningStack:
    """Taskmill while it runs.

    Attributes:
        url: Where its gateway listens.
        directory: Where files may be put that go with it.
        processes: What runs, by name, as stack.json lists it.
        headers: What a request needs to be let in.
    """

    url: str
    directory: Path
    processes: Mapping[str, ListedProcess]
    headers: Mapping[str, str]

    def client(self) -> Client:
        """A client of its gateway."""
        return Client(self.url, self.headers)

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
async def running_stack(
    processors: int = 1, *, operated: bool = False, **variables: str
) -> AsyncIterator[RunningStack]:
    """Start Taskmill, yield it once it is ready, and stop it.

    Args:
        processors: How many.
        operated: Whether requests need an API key, and metrics are told and read, as Prometheus would.
        **variables: Further settings, by the names of their environment variables.
    """
    port, metrics_port = free_port(), free_port()
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
            **({"TASKMILL_AUTH": "required", "TASKMILL_METRICS_PORT": str(metrics_port)} if operated else {}),
            **variables,
        }
        program = "from taskmill.cli.main import app; app()"
        options = ["--create-key", "benchmarks"] if operated else []
        await launcher.spawn([sys.executable, "-c", program, "up", *options], environment=environment)
        try:
            await eventually(lambda: _is_up(launcher), within_seconds=READY_WITHIN_SECONDS)
            if not await is_ready(f"http://{LOOPBACK}:{port}"):
                raise MeasurementError(f"taskmill up is not ready: {launcher.log_tail()}")
            stack = RunningStack(
                url=f"http://{LOOPBACK}:{port}",
                directory=directory,
                processes=read_stack_file(directory / "data" / STACK_FILE),
                headers={"Authorization": f"Bearer {_key(launcher)}"} if operated else {},
            )
            if operated:
                async with _scraped(stack, range(metrics_port, metrics_port + 1 + processors)):
                    yield stack
            else:
                yield stack
        finally:
            await launcher.stop()


def _key(launcher: ChildProcess) -> str:
    [key] = re.findall(r"^  (tm_\w+)$", launcher.log_file.read_text(), re.MULTILINE)
    return str(key)


@asynccontextmanager
async def _scraped(stack: RunningStack, ports: range) -> AsyncIterator[None]:
    """Read the metrics of every process again and again.

    Raises:
        OSError: A process does not tell them.
    """
    urls = [f"{stack.url}/metrics", *(f"http://{LOOPBACK}:{port}/metrics" for port in ports)]
    requests = [urllib.request.Request(url, headers=dict(stack.headers)) for url in urls]  # noqa: S310 (ours)

    def scrape() -> None:
        for request in requests:
            with urllib.request.urlopen(request, timeout=_SCRAPE_EVERY_SECONDS) as answer:  # noqa: S310 (ours)
                answer.read()

    async def scrape_on() -> None:
        while True:
            await asyncio.sleep(_SCRAPE_EVERY_SECONDS)
            # What does not answer under load has been seen to answer before.
            with suppress(OSError):
                await asyncio.to_thread(scrape)

    await asyncio.to_thread(scrape)
    scraping = asyncio.create_task(scrape_on())
    try:
        yield
    finally:
        scraping.cancel()
        await asyncio.gather(scraping, return_exceptions=True)


def _is_up(launcher: ChildProcess) -> bool:
    if not launcher.is_running:
        raise MeasurementError(f"taskmill up ended: {launcher.log_tail()}")
    return "taskmill ready at" in launcher.log_file.read_text()
