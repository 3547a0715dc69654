"""What the system knows of a process."""

import os
from pathlib import Path

from taskmill.cli.pid_file import command_line


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and was not yet reaped by its parent does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie has lost its command line.
    return command_line(pid) is not None


def owner_of(pid: int | None) -> int:
    """Return the user id that a process runs as (Linux)."""
    return Path(f"/proc/{pid}").stat().st_uid


def environment_of(pid: int | None) -> list[str]:
    """Return the environment that a process was started with, as `NAME=value` (Linux)."""
    return Path(f"/proc/{pid}/environ").read_text().split("\0")
