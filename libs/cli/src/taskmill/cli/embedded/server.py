"""What both servers share: a child process that listens on a port it may have to look for."""

import abc
import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import Signals

from taskmill.cli.child_process import ChildProcess
from taskmill.cli.embedded.ports import free_port, recall_port, remember_port
from taskmill.cli.errors import ServerStartError

_ATTEMPTS = 4
# As long as PostgreSQL may need to recover from a crash.
_ATTEMPT_WITHIN_SECONDS = 60.0
_PAUSE_SECONDS = 0.25
_POLL_SECONDS = 0.01


class EmbeddedServer(ChildProcess, abc.ABC):
    """A server on 127.0.0.1 that keeps everything under one directory, its port included.

    `start` and `stop` may follow each other any number of times. Once it has been started its port stays, because
    by then others hold its URL.

    Args:
        name: What people call it; also the name of its log and pid file.
        data_dir: Where it keeps everything. Made when it is missing.
        port: Where to look for a free port if this directory does not remember one; None looks anywhere.
        stop_signal: The signal that stops it in good order.
    """

    def __init__(self, name: str, data_dir: Path, port: int | None, *, stop_signal: Signals) -> None:
        self.data_dir = data_dir.resolve()
        super().__init__(
            name,
            pid_file=self.data_dir / f"{name}.pid",
            log_file=self.data_dir / f"{name}.log",
            stop_signal=stop_signal,
            death_signal=stop_signal,
            stop_within_seconds=2.0,
        )
        self._first_port = port
        self._port: int | None = None

    @property
    def port(self) -> int:
        """The port that it listens on.

        Raises:
            RuntimeError: It was never started.
        """
        if self._port is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._port

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """Where clients connect."""

    async def start(self) -> None:
        """Start it, and return when it accepts connections.

        Raises:
            ServerStartError: It ended or stayed silent, several times over; the message has the end of its log.
            BinaryMissingError: Its program is not installed.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        await self.end_orphan()
        await self._prepare()
        # More than once, for what passes by itself: a port that was taken between look and use, and the shared
        # memory that the last process of a killed PostgreSQL has not let go of yet.
        for attempt in range(_ATTEMPTS):
            await asyncio.sleep(_PAUSE_SECONDS * attempt)
            port = self._port or free_port(recall_port(self._port_file) or self._first_port)
            if await self._try_to_start(port):
                return
        raise ServerStartError(self.name, self.log_tail())

    async def _try_to_start(self, port: int) -> bool:
        await self.spawn(self._command(port), prefix=self._prefix(), environment=self._environment())
        try:
            is_ready = await self._becomes_ready()
        except BaseException:
            await self.stop()
            raise
        if is_ready:
            self._port = port
            remember_port(self._port_file, port)
        return is_ready

    async def _becomes_ready(self) -> bool:
        """Wait until it accepts connections, or has ended: then return False."""
        try:
            async with asyncio.timeout(_ATTEMPT_WITHIN_SECONDS):
                # It tells by a file: there is no event to wait for.
                while self.is_running and not self._is_ready():  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise ServerStartError(self.name, self.log_tail()) from None
        return self.is_running

    @property
    def _port_file(self) -> Path:
        return self.data_dir / "port"

    @abc.abstractmethod
    async def _prepare(self) -> None:
        """Make what it needs under its directory."""

    @abc.abstractmethod
    def _command(self, port: int) -> Sequence[str]:
        """Return the command line that serves on `port`."""

    def _prefix(self) -> Sequence[str]:
        """Return what to put in front of the command."""
        return ()

    def _environment(self) -> Mapping[str, str] | None:
        """Return all its environment variables; None: those of this process."""
        return None

    @abc.abstractmethod
    def _is_ready(self) -> bool:
        """Tell whether the process that runs now accepts connections."""
