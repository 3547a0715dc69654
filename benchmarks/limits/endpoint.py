"""Run an empty endpoint under the uvicorn that the gateway has."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.machine import ROOT, server_directory
from benchmarks.waiting import eventually
from taskmill.cli.child_process import ChildProcess
from taskmill.cli.embedded.ports import LOOPBACK, free_port, is_port_free


@asynccontextmanager
async def running_endpoint(module: str) -> AsyncIterator[str]:
    """Yield the URL of `POST /tasks` of `benchmarks.limits.<module>:app`."""
    port = free_port()
    with server_directory() as directory:
        server = ChildProcess(module, pid_file=directory / "pid", log_file=directory / "log")
        command = [sys.executable, "-m", "uvicorn", f"benchmarks.limits.{module}:app", "--app-dir", str(ROOT)]
        options = ["--host", LOOPBACK, "--port", str(port), "--no-access-log", "--log-level", "warning"]
        await server.spawn([*command, *options])
        try:
            await eventually(lambda: not is_port_free(port), within_seconds=30)
            yield f"http://{LOOPBACK}:{port}/tasks"
        finally:
            await server.stop()
