"""One launcher for one data directory."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from taskmill.cli.errors import DirectoryInUseError


@contextmanager
def directory_lock(data_dir: Path) -> Iterator[None]:
    """Hold `data_dir`, made when it is missing, for this process alone.

    The system lets go of it when the process dies, in whatever way. In the end the file of the lock is gone, and so is
    the directory, if it was made here and nothing has come into it.

    Raises:
        DirectoryInUseError: Another process holds it.
    """
    was_there = data_dir.is_dir()
    path = data_dir / "launcher.lock"
    while (lock := _lock(path)) is None:
        continue
    with lock:
        lock.truncate(0)
        lock.write(f"pid {os.getpid()}")
        lock.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            if not was_there:
                with contextlib.suppress(OSError):
                    data_dir.rmdir()


def _lock(path: Path) -> TextIO | None:
    """The lock's file, locked; None: it was removed meanwhile by who held it, and so holds nobody off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = path.open("a+")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_in_place = os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip()
        lock.close()
        raise DirectoryInUseError(path.parent, holder) from None
    except FileNotFoundError:
        is_in_place = False
    if not is_in_place:
        lock.close()
        return None
    return lock
