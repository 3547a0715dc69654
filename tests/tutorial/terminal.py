"""A terminal, in which commands are typed one after another."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.support.eventually import eventually

SHOWN_CHARS = 4_000
CTRL_C_WITHIN_SECONDS = 20


class Terminal:
    """A shell with its output.

    Attributes:
        output: All that was printed.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.output = ""
        self._process = process
        self._typed = 0
        self._seen = 0
        self._reading = asyncio.create_task(self._read())

    async def type(self, command: str, *, within_seconds: float) -> None:
        """Type a command, once those before it have ended.

        Raises:
            AssertionError: They have not in time.
        """
        await self.prompt(within_seconds=within_seconds)
        assert self._process.stdin is not None
        self._seen = len(self.output)
        self._typed += 1
        self._process.stdin.write(f"{command}\necho '(prompt {self._typed})'\n".encode())
        await self._process.stdin.drain()

    async def prompt(self, *, within_seconds: float) -> None:
        """Wait until all that was typed has ended."""
        if self._typed:
            await self._wait_for(rf"^\(prompt {self._typed}\)$", 0, within_seconds)

    async def printed(self, lines: Sequence[str], *, within_seconds: float) -> None:
        """Wait until lines were printed by the newest command, in their order, with others between them.

        Args:
            lines: `…` in them is anything.
            within_seconds: How long each may take.

        Raises:
            AssertionError: One of them was not printed in time; it has the output.
            RuntimeError: The shell has ended.
        """
        for line in lines:
            pattern = ".*".join(map(re.escape, line.split("…")))
            self._seen = await self._wait_for(rf"^{pattern}\r?$", self._seen, within_seconds)

    async def interrupt(self) -> None:
        """Press Ctrl-C, as often as something runs, and end the shell."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(ProcessLookupError, TimeoutError):
            os.killpg(self._process.pid, signal.SIGINT)
            async with asyncio.timeout(CTRL_C_WITHIN_SECONDS):
                await self._reading
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await self._reading

    async def _wait_for(self, pattern: str, start: int, within_seconds: float) -> int:
        def found() -> re.Match[str] | None:
            match = re.compile(pattern, re.MULTILINE).search(self.output, start)
            if match is None and self._process.returncode is not None:
                raise RuntimeError(f"the shell has ended:\n{self.output[-SHOWN_CHARS:]}")
            return match

        try:
            match = await eventually(found, within_seconds=within_seconds)
        except AssertionError:
            raise AssertionError(f"{pattern} was not printed:\n{self.output[-SHOWN_CHARS:]}") from None
        assert match is not None
        return match.end()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.output += line.decode(errors="replace")


@asynccontextmanager
async def terminal(folder: Path, environment: Mapping[str, str]) -> AsyncIterator[Terminal]:
    """Open a terminal; in the end Ctrl-C is pressed in it."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "--norc"),
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=2**22,
        start_new_session=True,
    )
    opened = Terminal(process)
    try:
        yield opened
    finally:
        await opened.interrupt()
