"""Who runs: a pid file tells the next start which process the last one left behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from taskmill.cli.atomic_file import write_atomically

_POLL_SECONDS = 0.02


class PidFile:
    """The pid and the command line of one running process.

    A pid alone does not name a process, for the system gives the numbers out again (in a container the same ones
    at every start): only a process that also has the command line written here is taken for ours.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def all_in(cls, directory: Path) -> list["PidFile"]:
        """Return every pid file of a directory."""
        return [cls(path) for path in sorted(directory.glob("*.pid"))]

    def write(self, pid: int, command: Sequence[str]) -> None:
        """Record a process that was just started; `command` is what it runs as, without any wrapper."""
        write_atomically(self.path, json.dumps({"pid": pid, "command": list(command)}))

    def remove(self) -> None:
        """Forget the process: it has ended."""
        self.path.unlink(missing_ok=True)

    def running_pid(self) -> int | None:
        """Return the pid of the recorded process while it runs, else None."""
        try:
            content = json.loads(self.path.read_text())
            pid, command = int(content["pid"]), [str(part) for part in content["command"]]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return pid if _runs_as(pid, command) else None

    async def end_orphan(self, stop_signal: signal.Signals, within_seconds: float) -> None:
        """End the recorded process if it still runs, and forget it.

        Args:
            stop_signal: The polite signal, sent first.
            within_seconds: How long it may take before it is killed.
        """
        pid = self.running_pid()
        if pid is not None:
            _signal(pid, stop_signal)
            if not await self._ends(within_seconds):
                _signal(pid, signal.SIGKILL)
                await self._ends(within_seconds)
        self.remove()

    async def _ends(self, within_seconds: float) -> bool:
        try:
            async with asyncio.timeout(within_seconds):
                # Nothing tells of the end of a process that is no child of ours.
                while self.running_pid() is not None:  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            return False
        return True


def command_line(pid: int) -> str | None:
    """Return the command line of a process, its parts joined by blanks; None when there is no such process."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode() or None
        except (FileNotFoundError, ProcessLookupError):
            return None
    ps = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    listing = subprocess.run(ps, capture_output=True, text=True, check=False)  # noqa: S603 (nothing from outside)
    return listing.stdout.strip() or None


def _runs_as(pid: int, command: Sequence[str]) -> bool:
    # A process that was started a moment ago may still be the wrapper that is about to become it.
    return (command_line(pid) or "").endswith(" ".join(command))


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
