"""`taskmill up` for the time of a test session."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from taskmill.cli.embedded.ports import LOOPBACK, free_port, is_port_free, remember_port
from taskmill.cli.errors import ServerStartError
from taskmill.cli.process_prefixes import die_with_parent
from taskmill.cli.stack_file import read_stack_file

_TASKMILL_UP = "from taskmill.cli.main import app; app(['up'])"
_READY_WITHIN_SECONDS = 180.0
_READY_POLL_SECONDS = 0.05
_STOPPED_WITHIN_SECONDS = 20.0
_PORT_TRIES = 1_000
_SHOWN_CHARS = 8_000


@dataclass(frozen=True, slots=True)
class TaskmillStack:
    """A stack that runs.

    Attributes:
        url: Where its gateway is, such as `http://127.0.0.1:23456`.
        nats_url: Where its NATS is, with the password if it has one.
        log_dir: Where its services write their logs, `processor-1.log` for one.
    """

    url: str
    nats_url: str
    log_dir: Path


@contextmanager
def running_stack(
    apps: Sequence[str], *, directory: Path, environment: Mapping[str, str] | None = None
) -> Iterator[TaskmillStack]:
    """Run `taskmill up` with a processor for `apps`, on free ports and with data of its own, which is removed.

    On Linux it also ends when this process is killed; to be called in the main thread there.

    Args:
        apps: Handlers beside the built-in kinds, as `module:app`. They are imported as this process would.
        directory: Where it runs.
        environment: Settings beside those of this process.

    Raises:
        ServerStartError: It did not start; the message has what it printed.
    """
    with _data_directory() as data_dir, _reserved_port() as port:
        settings = {
            "TASKMILL_HOST": LOOPBACK,
            "TASKMILL_PORT": str(port),
            "TASKMILL_DATA": str(data_dir),
            **dict.fromkeys(("TASKMILL_STORES", "TASKMILL_GATEWAYS", "TASKMILL_PROCESSORS"), "1"),
            "TASKMILL_APPS": ",".join(apps),
            "PYTHONPATH": os.pathsep.join([str(directory), *filter(None, sys.path)]),
        }
        log = data_dir / "up.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 (our own program)
                [*die_with_parent(signal.SIGTERM), sys.executable, "-c", _TASKMILL_UP],
                cwd=directory,
                env={**os.environ, **(environment or {}), **settings},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A Ctrl-C ends the tests, which then end the stack.
                start_new_session=True,
            )
        try:
            _wait_until_ready(process, log)
            nats = read_stack_file(data_dir / "stack.json")["nats-server"]
            yield TaskmillStack(f"http://{LOOPBACK}:{port}", str(nats.url), data_dir / "logs")
        finally:
            _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN_SECONDS
    while "taskmill ready at" not in (text := log.read_text(errors="replace")):
        if process.poll() is not None or time.monotonic() > deadline:
            raise ServerStartError("taskmill up", text[-_SHOWN_CHARS:].strip())
        time.sleep(_READY_POLL_SECONDS)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOPPED_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _data_directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="taskmill-"))
    try:
        # Where root starts PostgreSQL as nobody, nobody must get through to its data.
        directory.chmod(0o711)
        for server in ("nats", "postgres"):
            # Not where a stack that is started by hand looks first: its data remember what it found free.
            (directory / server).mkdir()
            remember_port(directory / server / "port", free_port())
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _reserved_port() -> Iterator[int]:
    """Yield a free port for the gateway, which no other test session takes meanwhile.

    The gateway has to bind it by itself, so it cannot be held here. Its neighbour is: whoever does not get that takes
    another one.
    """
    for _ in range(_PORT_TRIES):
        port = free_port() & ~1
        with socket.socket() as neighbour:
            try:
                neighbour.bind((LOOPBACK, port + 1))
            except OSError:
                continue
            if is_port_free(port):
                yield port
                return
    raise OSError("no pair of TCP ports is free on 127.0.0.1")
