"""`taskmill up` as its user runs it: a process, its output, its HTTP."""

import asyncio
import json
import os
import re
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import httpx

from taskmill.cli.embedded.ports import free_port
from tests.support.balancer import Balancer
from tests.support.eventually import eventually, holds
from tests.support.nats_keys import violations

SHOWN_LINES = 40
"""So much of a launcher's output is told of when it does not do what it should."""

IS_SCALED = bool(os.environ.get("TASKMILL_TEST_SCALED"))
"""Whether each stack has two gateways, two stores, and four processors if it has any."""

_SCALED, _SCALED_PROCESSORS = 2, 4
_TASKMILL = (sys.executable, "-c", "from taskmill.cli.main import app; app()")


class Entry(TypedDict):
    """One process in stack.json."""

    name: str
    pid: int
    url: str | None


@dataclass
class TaskmillUp:
    """One `taskmill up` on one data directory; it may be started, stopped or killed again and again.

    Attributes:
        processors: How many it has; all three numbers are raised if `IS_SCALED`.
        port: Where its first gateway listens.
        command: The `taskmill` that is run; by default the one of this environment.
    """

    data_dir: Path
    processors: int = 1
    stores: int = 1
    gateways: int = 1
    port: int = field(default_factory=free_port)
    environment: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = _TASKMILL
    output: list[str] = field(default_factory=list)
    _process: asyncio.subprocess.Process | None = None
    _reader: asyncio.Task[None] | None = None
    _balancer: Balancer = field(init=False)

    @property
    def url(self) -> str:
        """Where its gateways are: the only one, or a balancer before them."""
        return self.first_gateway if self.gateways == 1 else f"http://127.0.0.1:{self._balancer.port}"

    @property
    def first_gateway(self) -> str:
        """Where its first gateway is."""
        return f"http://127.0.0.1:{self.port}"

    def __post_init__(self) -> None:
        """Have more of everything, if that is wanted."""
        self._balancer = Balancer(lambda: self.gateway_ports)
        if IS_SCALED:
            self.stores, self.gateways = max(self.stores, _SCALED), max(self.gateways, _SCALED)
            self.processors = self.processors and max(self.processors, _SCALED_PROCESSORS)

    @property
    def is_running(self) -> bool:
        """Whether its launcher runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def _directory(self) -> Path:
        # Not the repository, where a developer may have a `.env`.
        return self.data_dir.parent

    async def launch(self) -> None:
        """Start the launcher, without waiting for anything."""
        environment = {
            **os.environ,
            **self.environment,
            "TASKMILL_DATA": str(self.data_dir),
            "TASKMILL_PORT": str(self.port),
            "TASKMILL_PROCESSORS": str(self.processors),
            "TASKMILL_STORES": str(self.stores),
            "TASKMILL_GATEWAYS": str(self.gateways),
        }
        if self.gateways > 1:
            await self._balancer.start()
        self.output.clear()
        self._process = await asyncio.create_subprocess_exec(
            *self.command,
            "up",
            cwd=self._directory,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reader = asyncio.create_task(self._read())

    async def start(self, *, within_seconds: float = 60) -> None:
        """Start it, and wait until it says that it is ready.

        Raises:
            AssertionError: It did not in time; with the end of its output.
            RuntimeError: It ended instead; with its output.
        """
        await self.launch()
        await holds(self._check_ready, within_seconds=within_seconds)

    def _check_ready(self) -> None:
        if not self.is_running:
            raise RuntimeError("taskmill up ended:\n" + "\n".join(self.output))
        is_ready = any(line.startswith("taskmill ready at") for line in self.output)
        assert is_ready, "taskmill up is not ready:\n" + self._last_lines()

    def _last_lines(self) -> str:
        return "\n".join(self.output[-SHOWN_LINES:])

    async def run_beside(self, *arguments: str, within_seconds: float = 100) -> tuple[int, str]:
        """Run another `taskmill` command on the same data; return its exit status and what it printed."""
        process = await asyncio.create_subprocess_exec(
            *self.command,
            *arguments,
            cwd=self._directory,
            env={**os.environ, "TASKMILL_DATA": str(self.data_dir)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(within_seconds):
                output, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.communicate()
            raise
        return process.returncode or 0, output.decode()

    async def end(self, number: signal.Signals = signal.SIGTERM, *, within_seconds: float = 15) -> int | None:
        """Send it a signal, wait until it has ended, and return its exit status; None if it was never started."""
        if self._process is None:
            return None
        if self.is_running:
            self._process.send_signal(number)
        status = await self.wait(within_seconds=within_seconds)
        # Shown when the test fails.
        print(self._last_lines())  # noqa: T201
        refused = violations(self.data_dir / "nats" / "nats-server.log")
        assert refused == [], "NATS refused to a service what it wanted"
        return status

    async def wait(self, *, within_seconds: float = 15) -> int:
        """Wait until it ends by itself; return its exit status. Its output is complete then."""
        assert self._process is not None
        assert self._reader is not None
        async with asyncio.timeout(within_seconds):
            status = await self._process.wait()
            await self._reader
        await self._balancer.stop()
        return status

    async def kill(self, name: str, *, within_seconds: float = 60) -> None:
        """Kill one of its processes, and wait until another has taken its place and requests are served.

        Of a service that runs more than once, each is killed, one after another.
        """
        for one in [entry for entry in self.entries() if re.fullmatch(rf"{name}(-\d+)?", entry)]:
            await self._kill_one(one, within_seconds)

    async def _kill_one(self, name: str, within_seconds: float) -> None:
        pid = self.entries()[name]["pid"]
        os.kill(pid, signal.SIGKILL)

        async def is_replaced() -> bool:
            entry = self.entries().get(name)
            if entry is None or entry["pid"] == pid:
                return False
            with suppress(httpx.TransportError):
                own_url = entry["url"] if name.startswith("gateway") else ""
                return (await client.get(f"{own_url}/readyz")).status_code == httpx.codes.OK
            return False

        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            await eventually(is_replaced, within_seconds=within_seconds)

    def entries(self) -> dict[str, Entry]:
        """Return what stack.json lists, by name."""
        entries: list[Entry] = json.loads((self.data_dir / "stack.json").read_text())
        return {entry["name"]: entry for entry in entries}

    @property
    def gateway_ports(self) -> list[int]:
        """Where its gateways listen, those that run now."""
        urls = [str(entry["url"]) for name, entry in self.entries().items() if name.startswith("gateway")]
        return [httpx.URL(url).port or 80 for url in urls]

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.output.append(line.decode().rstrip("\n"))
