"""stack.json: what runs, for people and programs beside the launcher."""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from taskmill.cli.atomic_file import write_atomically


class Listed(Protocol):
    """What the file tells of a process."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def pid(self) -> int | None:
        """The pid while it runs, else None."""

    @property
    def url(self) -> str | None:
        """Where it can be reached from outside the stack, if it can."""


class StackFile:
    """A JSON list of `{"name", "pid", "url"}`, one entry for each process that runs now.

    A process that ended has no entry until it runs again. `url` is null for a service that listens nowhere.

    Args:
        path: The file's place.
        processes: Those to tell of, in their order.
    """

    def __init__(self, path: Path, processes: Sequence[Listed]) -> None:
        self._path = path
        self._processes = processes

    def write(self) -> None:
        """Replace the file by what is true now; where it cannot be written, it stays as it is."""
        running = [
            {"name": process.name, "pid": process.pid, "url": process.url}
            for process in self._processes
            if process.pid is not None
        ]
        # A full disk must not end what the file only tells of.
        with contextlib.suppress(OSError):
            # An address may hold a password.
            write_atomically(self._path, json.dumps(running, indent=2) + "\n", is_private=True)

    def remove(self) -> None:
        """Remove the file: nothing runs any more."""
        self._path.unlink(missing_ok=True)


class ListedProcess(NamedTuple):
    """One process that the file lists."""

    name: str
    pid: int
    url: str | None


def read_stack_file(path: Path) -> dict[str, ListedProcess]:
    """Return what a stack file lists, by name; nothing when there is none, or when it is no stack file."""
    try:
        entries = json.loads(path.read_text())
        processes = [ListedProcess(str(entry["name"]), int(entry["pid"]), entry["url"]) for entry in entries]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}
    return {process.name: process for process in processes}
