"""Processes for handlers that want one of their own: what blocks, leaks or crashes there can be killed."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from taskmill.contracts.tasks import TaskError
from taskmill.sdk.child import Call, Extended, PutOff, Raised, Returned, ShutDown, Told
from taskmill.sdk.errors import NotNow
from taskmill.sdk.outcome import FailedElsewhere, Failure

GUARD = ("/bin/sh", "-c", 'read -r group && read -r _; kill -s KILL -- "-$group"')
"""Reads the number of a process group, and kills the group when the other end of its input is gone."""

# Not `-m`: what is sent between the processes is named by its module, which must not be `__main__` there.
_PROGRAM = "from taskmill.sdk.child import main; main()"

KILL_AFTER_SECONDS = 1.0
"""How long a process may go on after SIGTERM."""

DEATH_NOTICED_SECONDS = 0.5
"""How soon the death of a process is noticed whose connection is held open by one that it forked."""

MAX_IDLE_PROCESSES = 4
"""How many processes wait for the next call; each keeps what its handlers imported."""


class ChildProcess:
    """A process that executes one call at a time. All but `kill` and `shut_down` is for one thread.

    It has a group of its own, which gets SIGKILL when this process dies, however it does: who computes without an end
    would not notice.

    Args:
        log_as: The service in whose log it writes; None: it logs as structlog does by itself.
    """

    def __init__(self, log_as: str | None = None) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 -- our own program
                # -P: a file in the working directory must not take the place of a library's module.
                [sys.executable, "-P", "-c", _PROGRAM, str(theirs.fileno()), log_as or ""],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # A Ctrl-C in the terminal is the processor's to answer. And what the handler starts dies with it.
                start_new_session=True,
            )
        self._connection = Connection(ours.detach())
        try:
            self._guard = _Guard(self._process.pid)
        except OSError:
            self._signal(signal.SIGKILL)
            self._process.wait()
            raise
        self._sending = threading.Lock()
        self._is_killed = False

    @property
    def is_alive(self) -> bool:
        """Whether it can take a call."""
        return not self._is_killed and self._process.poll() is None

    def execute(self, call: Call, tell: Callable[..., None], extend: Callable[[float], None]) -> bytes:
        """Execute a call, and wait for its end.

        Args:
            call: What is called.
            tell: Takes what the handler says: a type of report, and its content.
            extend: Takes for how many seconds more the handler asks.

        Returns:
            The result as JSON.

        Raises:
            FailedElsewhere: The handler failed, or its process died.
            NotNow: The handler wants to be called later.
        """
        try:
            self._send(call)
            while True:
                match self._receive():
                    case Told(report_type, content):
                        tell(report_type, **content)
                    case Extended(seconds):
                        extend(seconds)
                    case Returned(result_json):
                        return result_json
                    case PutOff(after_seconds):
                        raise NotNow(after_seconds)
                    case Raised(failure):
                        raise FailedElsewhere(failure)
        except (EOFError, OSError) as error:
            raise FailedElsewhere(self._death()) from error

    def shut_down(self) -> None:
        """Tell the handler that the processor ends, as soon as its process listens."""
        threading.Thread(target=self._tell_to_shut_down, daemon=True).start()

    def kill(self) -> None:
        """End the process and whatever it has started: by SIGTERM, and after a moment by SIGKILL."""
        self._is_killed = True
        self._signal(signal.SIGTERM)
        threading.Thread(target=self._kill_soon, daemon=True).start()

    def close(self) -> None:
        """Let an idle process end: it does as soon as nobody can call it any more."""
        self._is_killed = True
        self._connection.close()
        threading.Thread(target=self._kill_soon, daemon=True).start()

    def has_ended_within(self, seconds: float) -> bool:
        """Wait for the end of the process, and say whether it came."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.poll() is not None

    def _send(self, message: Any) -> None:
        with self._sending:
            self._connection.send(message)

    def _tell_to_shut_down(self) -> None:
        with suppress(OSError):
            self._send(ShutDown())

    def _receive(self) -> Any:
        while not self._connection.poll(DEATH_NOTICED_SECONDS):
            # What it forked holds the connection, too, and may outlive it.
            if self._process.poll() is not None and not self._connection.poll(0):
                raise EOFError
        return self._connection.recv()

    def _kill_soon(self) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(KILL_AFTER_SECONDS)
        # Also where the process itself is gone: others of its group may be left.
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._guard.end()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _death(self) -> Failure:
        self._connection.close()
        # What it started goes with it; and itself, if it has only closed its end.
        self.kill()
        status = self._process.wait()
        cause = f"signal {-status}" if status < 0 else f"exit status {status}"
        return Failure(TaskError(code="process_died", message=f"The process of the handler ended with {cause}."))


class _Guard:
    """A process that outlives this one, and kills a group then. `end` is for any thread, more than once."""

    def __init__(self, group: int) -> None:
        reading_end, writing_end = os.pipe()
        self._writing_end = os.fdopen(writing_end, "wb", buffering=0)
        try:
            self._process = subprocess.Popen(  # noqa: S603 -- our own program
                GUARD,
                stdin=reading_end,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            self._writing_end.close()
            raise
        finally:
            os.close(reading_end)
        # Without its guard a process runs all the same.
        with suppress(BrokenPipeError):
            self._writing_end.write(f"{group}\n".encode())

    def end(self) -> None:
        # Before it notices that the other end is gone.
        self._process.kill()
        self._process.wait()
        self._writing_end.close()


class ChildProcesses:
    """The processes of a processor, which are used again. For the thread of the event loop.

    Args:
        log_as: The service in whose log they write; None: they log as structlog does by itself.
    """

    def __init__(self, log_as: str | None = None) -> None:
        self._log_as = log_as
        self._idle: list[ChildProcess] = []
        self._busy: set[ChildProcess] = set()
        self._ending: set[ChildProcess] = set()

    def take(self) -> ChildProcess:
        """A process that is idle, or a new one."""
        while self._idle:
            process = self._idle.pop()
            if process.is_alive:
                break
            process.kill()
        else:
            process = ChildProcess(self._log_as)
        self._busy.add(process)
        return process

    def give_back(self, process: ChildProcess) -> None:
        """Keep a process for the next call, if it can take one."""
        self._busy.discard(process)
        if process.is_alive and len(self._idle) < MAX_IDLE_PROCESSES:
            self._idle.append(process)
            return
        if process.is_alive:
            process.close()
        self._ending = {it for it in (*self._ending, process) if not it.has_ended_within(0)}

    def shut_down(self) -> None:
        """Tell all handlers that the processor ends."""
        for process in self._busy:
            process.shut_down()

    async def close(self) -> None:
        """End all processes."""
        while self._idle:
            process = self._idle.pop()
            process.close()
            self._ending.add(process)
        for process in self._busy:
            process.kill()
        # By then they are killed.
        ending = [asyncio.to_thread(it.has_ended_within, 2 * KILL_AFTER_SECONDS) for it in self._ending | self._busy]
        await asyncio.gather(*ending)
