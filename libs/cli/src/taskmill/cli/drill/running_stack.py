"""Finds what `taskmill up` runs on this machine."""

from dataclasses import dataclass
from pathlib import Path

from taskmill.cli.embedded.nats import SERVER_NAME
from taskmill.cli.errors import StackNotRunningError
from taskmill.cli.pid_file import PidFile
from taskmill.cli.services import GATEWAY_NAME
from taskmill.cli.stack import NATS_DIRECTORY, STACK_FILE
from taskmill.cli.stack_file import read_stack_file


@dataclass(frozen=True)
class RunningStack:
    """The parts of a running stack that a drill has to do with."""

    gateway_url: str
    nats_url: str
    nats_pid: int
    nats_dir: Path
    """The directory of the nats-server: its configuration, and everything that JetStream keeps."""


def find_stack(data_dir: Path) -> RunningStack:
    """Return the stack that runs here on a data directory.

    Raises:
        StackNotRunningError: None does: nothing was started, a part of it is away at the moment, or it runs on another
            machine, in containers for one, that shares the directory.
    """
    processes = read_stack_file(data_dir / STACK_FILE)
    nats, gateway = processes.get(SERVER_NAME), processes.get(GATEWAY_NAME)
    if nats is None or gateway is None or nats.url is None or gateway.url is None:
        raise StackNotRunningError(data_dir, "no stack with a nats-server and a gateway is listed there")
    nats_dir = data_dir / NATS_DIRECTORY
    # The number alone does not do: on another machine, or after a crash, it belongs to somebody else.
    if PidFile(nats_dir / f"{SERVER_NAME}.pid").running_pid() != nats.pid:
        raise StackNotRunningError(data_dir, f"its nats-server (pid {nats.pid}) does not run on this machine")
    return RunningStack(gateway.url, nats.url, nats.pid, nats_dir)
