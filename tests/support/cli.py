"""The installed command `taskmill`, as its users call it."""

import asyncio
import json
import os
import pty
import signal
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPTS = Path(sys.executable).parent

_SERVER = """
import json, os, sys, tempfile, traceback
from taskmill.cli import registry
from taskmill.cli.main import app

for name in registry.ENTRIES:
    registry.load(name)
for line in sys.stdin:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            status = 1
            try:
                app(json.loads(line), prog_name="taskmill")
            except SystemExit as end:
                status = end.code or 0
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0), err.seek(0)
        print(json.dumps([status, out.read().decode(), err.read().decode()]), flush=True)
"""
"""Calls commands one after another, each in a fork of a process that has loaded them all."""

_ON_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as one document."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """What it printed, as a document in each line."""
        return [json.loads(line) for line in self.out.splitlines()]


class Terminal:
    """A command that runs on a terminal.

    Args:
        process: The command.
        descriptor: The other side of its terminal.

    Attributes:
        shown: All that it has shown.
    """

    def __init__(self, process: asyncio.subprocess.Process, descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self.shown = ""
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def press_interrupt(self) -> None:
        """Press Ctrl-C."""
        os.write(self._descriptor, b"\x03")

    async def wait(self, *, within_seconds: float = 10) -> int:
        """Wait for its end; return its exit status."""
        return await asyncio.wait_for(self._process.wait(), within_seconds)

    async def close(self) -> None:
        """End it, if it has not ended."""
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    def _read(self) -> None:
        try:
            self.shown += os.read(self._descriptor, 65_536).decode(errors="replace")
        except OSError:
            # Linux says so when the last one on the terminal has gone.
            asyncio.get_running_loop().remove_reader(self._descriptor)


@dataclass(frozen=True)
class Command:
    """Calls `taskmill`.

    Attributes:
        directory: Where it is called, and where the user's configuration is kept.
        variables: Its environment beside this process's.
    """

    directory: Path
    variables: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """Its environment."""
        return {
            **os.environ,
            "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.directory),
            "XDG_CONFIG_HOME": str(self.directory / "config"),
            **self.variables,
        }

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start it; its output can be read from pipes."""
        return await self._start("taskmill", *arguments)

    async def __call__(self, *arguments: str, stdin: str = "", within_seconds: float = 60, **variables: str) -> Ran:
        """Call it, and wait for its end."""
        return await self._run(await self._start("taskmill", *arguments, **variables), stdin, within_seconds)

    async def shell(self, script: str, *, within_seconds: float = 60, **variables: str) -> Ran:
        """Have bash carry out a script that calls it."""
        process = await self._start("bash", "-c", script, **variables)
        return await self._run(process, "", within_seconds)

    @asynccontextmanager
    async def on_a_terminal(self, *arguments: str) -> AsyncIterator[Terminal]:
        """Start it on a terminal of 120 columns."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (40, 120))
        process = await asyncio.create_subprocess_exec(
            # It makes the terminal that of the new session, so that Ctrl-C arrives.
            *(sys.executable, "-c", _ON_TERMINAL, "taskmill", *arguments),
            cwd=self.directory,
            env=self.environment | {"TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        terminal = Terminal(process, ours)
        try:
            yield terminal
        finally:
            await terminal.close()

    async def _start(self, *words: str, **variables: str) -> asyncio.subprocess.Process:
        environment = self.environment | variables
        return await asyncio.create_subprocess_exec(
            *words,
            cwd=self.directory,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # So that it can be killed with all that it has started.
            start_new_session=True,
        )

    async def _run(self, process: asyncio.subprocess.Process, stdin: str, within_seconds: float) -> Ran:
        try:
            async with asyncio.timeout(within_seconds):
                out, err = await process.communicate(stdin.encode())
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.communicate()
            raise
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), err.decode())


class CommandServer:
    """Calls `taskmill` many times within one test, quickly; it is no installed command, but the same program.

    Args:
        process: What calls it.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def running(cls, command: Command) -> AsyncIterator["CommandServer"]:
        """Have one run where, and with the environment with which, another is called."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _SERVER),
            cwd=command.directory,
            env=command.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**24,
        )
        try:
            yield cls(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            async with asyncio.timeout(30):
                await process.wait()

    async def __call__(self, *arguments: str, within_seconds: float = 60) -> Ran:
        """Call it, and wait for its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(arguments).encode() + b"\n")
        answer = await asyncio.wait_for(self._process.stdout.readline(), within_seconds)
        return Ran(*json.loads(answer))
