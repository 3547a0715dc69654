"""A service's process from outside: signals, exit codes and what it prints."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

SERVICE = """
import asyncio, gc, sys, threading
from taskmill.runtime.actor import Actor
from taskmill.runtime.service import run_service
from taskmill.runtime.settings import NatsSettings, ProcessSettings
from taskmill.runtime.errors import SettingsError, StartError
from taskmill.runtime.supervisor import Supervisor

class Settings(NatsSettings, ProcessSettings):
    pass

class Example(Actor):
    def __init__(self, name, drains):
        self.name, self.drains, self.stopped = name, drains, asyncio.Event()
    def stop(self):
        print("stopping", self.name, flush=True)
        self.stopped.set()
    async def run(self, started):
        started()
        print("started", self.name, flush=True)
        await self.stopped.wait()
        if not self.drains:
            await asyncio.Event().wait()
        print("drained", self.name, flush=True)

async def swallow():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

class Collector(Example):
    async def run(self, started):
        print("collected:", len(gc.get_objects()) * 20 < gc.get_freeze_count(), flush=True)
        await super().run(started)

left = []

async def build(settings):
    mode = sys.argv[1]
    if mode == "leaves":
        left.append(asyncio.create_task(swallow()))
        left.append(asyncio.ensure_future(asyncio.to_thread(threading.Event().wait)))
        threading.Thread(target=threading.Event().wait).start()
    if mode == "refuses":
        raise StartError("the schema is too old: run the migrations")
    if mode == "misplaced":
        raise SettingsError("there is no module 'nowhere'")
    if mode == "collects":
        return Supervisor([Collector("a", True)])
    return Supervisor([Example("a", True), Example("b", mode != "hangs")], drain_timeout_seconds=30)

sys.exit(run_service("example", Settings, build))
"""


@asynccontextmanager
async def service(mode: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that runs the service above; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SERVICE,
        mode,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    try:
        async with asyncio.timeout(20):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def read_until(process: asyncio.subprocess.Process, line: str) -> None:
    """Read the process's output up to a line."""
    assert process.stdout is not None
    while (got := await process.stdout.readline()) != f"{line}\n".encode():
        assert got, f"the process ended before it printed {line!r}"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_in_reverse_order(signum: signal.Signals) -> None:
    """The first signal drains, and the process ends with 0."""
    async with service("drains") as process:
        await read_until(process, "started b")
        process.send_signal(signum)
        output, _ = await process.communicate()
    assert output.decode().splitlines() == ["stopping b", "drained b", "stopping a", "drained a"]
    assert process.returncode == 0


async def test_nothing_that_is_left_behind_keeps_the_process() -> None:
    """A task that swallows its cancellation, and threads: Python would wait for each; all actors have drained."""
    async with service("leaves", TASKMILL_LOG_FORMAT="json") as process:
        await read_until(process, "started b")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            output, errors = await process.communicate()
    assert output.decode().splitlines()[-1] == "drained a"
    assert b"service.held_up" in errors
    assert process.returncode == 0


async def test_the_collector_leaves_alone_what_stays() -> None:
    """It has next to nothing to look through when the actors start: all that is loaded would stop a store for 60 ms."""
    async with service("collects") as process:
        await read_until(process, "collected: True")


async def test_a_second_signal_ends_the_process_at_once() -> None:
    """Whoever does not want to wait for the drain signals again."""
    async with service("hangs") as process:
        await read_until(process, "started b")
        process.send_signal(signal.SIGTERM)
        await read_until(process, "stopping b")
        process.send_signal(signal.SIGINT)
        output, _ = await process.communicate()
    assert process.returncode == 128 + signal.SIGINT
    assert output == b""


async def test_wrong_settings_are_printed_one_per_line() -> None:
    """Exit code 2, a line for each variable, no value and no traceback."""
    environment = {"TASKMILL_NATS_URL": "s3cret", "TASKMILL_REQUEST_TIMEOUT_SECONDS": "-77"}
    async with service("drains", **environment) as process:
        output, errors = await process.communicate()
    assert process.returncode == 2
    assert [line.split(":")[0] for line in errors.decode().splitlines()] == sorted(environment)
    assert b"s3cret" not in errors + output
    assert b"77" not in errors + output


async def test_a_setting_that_is_judged_late() -> None:
    """Exit code 2, and what is wrong as plain text: whoever has just started it reads that."""
    async with service("misplaced") as process:
        _, errors = await process.communicate()
    assert (process.returncode, errors) == (2, b"taskmill: there is no module 'nowhere'\n")


async def test_a_service_that_cannot_start_says_why() -> None:
    """Exit code 1 and one line of log, without a traceback."""
    async with service("refuses", TASKMILL_LOG_FORMAT="json") as process:
        _, errors = await process.communicate()
    assert process.returncode == 1
    (line,) = errors.decode().splitlines()
    assert "run the migrations" in line
    assert '"event": "service.start_failed"' in line
