"""One child process: started so that it dies with its parent, watched, and stopped within a time."""

import asyncio
import contextlib
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from taskmill.cli.pid_file import PidFile
from taskmill.cli.process_prefixes import die_with_parent

_TAIL_BYTES = 4_096
_TAIL_LINES = 10
_MAX_LOG_BYTES = 16 * 1024 * 1024


class ChildProcess:
    """A process of the stack. After it ended it may be started again.

    It runs in a session of its own, so that Ctrl-C in a terminal reaches only the launcher, which then stops its
    children in the right order.
    """

    def __init__(
        self,
        name: str,
        *,
        pid_file: Path,
        log_file: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
        death_signal: signal.Signals = signal.SIGKILL,
        stop_within_seconds: float = 5.0,
    ) -> None:
        """Describe the process; nothing runs yet.

        Args:
            name: What people call it, such as "postgres".
            pid_file: Where its pid and command line are kept while it runs. Its directory is made when it is missing.
            log_file: Where its stdout and stderr are appended. At each start a file of more than 16 MiB is put
                aside, in place of the one put aside before.
            stop_signal: The signal that asks it to end in good order.
            death_signal: The signal that it gets when this process dies first (Linux only).
            stop_within_seconds: How long it may take to end before it is killed.
        """
        self.name = name
        self.log_file = log_file
        self._pid_file = PidFile(pid_file)
        self._stop_signal = stop_signal
        self._death_signal = death_signal
        self._stop_within_seconds = stop_within_seconds
        self._log_start = 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The pid while it runs, else None."""
        return self._process.pid if self._process is not None and self.is_running else None

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def end_orphan(self) -> None:
        """End what an earlier parent left running under the same pid file."""
        await self._pid_file.end_orphan(self._stop_signal, self._stop_within_seconds)

    async def spawn(
        self, command: Sequence[str], *, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        """Start `command`.

        Args:
            command: Program and arguments, as the system will show them.
            prefix: A command in front that ends by becoming `command`.
            environment: All its environment variables; None hands on this process' own.

        Raises:
            OSError: The program cannot be started.
        """
        for file in (self._pid_file.path, self.log_file):
            file.parent.mkdir(parents=True, exist_ok=True)
        self._rotate_log()
        with self.log_file.open("ab") as log:
            self._log_start = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *prefix,
                *die_with_parent(self._death_signal),
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        self._pid_file.write(self._process.pid, command)

    async def wait(self) -> int:
        """Wait until it ends; return its exit status, which is negative for a signal.

        Raises:
            RuntimeError: It was never started.
        """
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return await self._process.wait()

    async def stop(self) -> None:
        """Ask it to end, kill it when it does not, and wait until it is gone. Does nothing when it does not run."""
        if self._process is None:
            return
        self._signal(self._stop_signal)
        try:
            async with asyncio.timeout(self._stop_within_seconds):
                await self._process.wait()
        except TimeoutError:
            await self.kill()
        self._pid_file.remove()

    async def kill(self) -> None:
        """End it at once, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        await self.wait()

    def abandon(self) -> None:
        """Send it what it would get if this process died, and do not wait."""
        self._signal(self._death_signal)

    def log_tail(self) -> str:
        """Return the last 10 lines that it logged since it was started, 4 KiB at most."""
        try:
            with self.log_file.open("rb") as log:
                size = log.seek(0, 2)
                log.seek(max(self._log_start, size - _TAIL_BYTES))
                lines = log.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return "\n".join(lines[-_TAIL_LINES:])

    def _rotate_log(self) -> None:
        if self.log_file.exists() and self.log_file.stat().st_size > _MAX_LOG_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.is_running:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
