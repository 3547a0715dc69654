"""One launcher for one data directory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taskmill.cli.errors import DirectoryInUseError


@contextmanager
def directory_lock(data_dir: Path) -> Iterator[None]:
    """Hold `data_dir`, made when it is missing, for this process alone.

    The system lets go of it when the process dies, in whatever way.

    Raises:
        DirectoryInUseError: Another process holds it.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "launcher.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise DirectoryInUseError(data_dir, lock.read().strip()) from None
        lock.truncate(0)
        lock.write(f"pid {os.getpid()}")
        lock.flush()
        yield
