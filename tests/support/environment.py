"""What surrounds the tests: a developer's variables and `.env` have no say in them, and their files are in memory."""

import os
import tempfile
from pathlib import Path

from taskmill.runtime.settings import Settings

ENV_FILE = Settings.model_config.get("env_file")
"""Where settings are read from besides the environment, outside of the tests."""

MEMORY = Path("/dev/shm")  # noqa: S108 (folders of names that nobody knows are made there)
"""A folder of files in memory, on Linux."""

ENOUGH_BYTES = 4 * 2**30
"""So much must be free there; the tests of one process need a tenth of it."""

_OTHER_NAMES = {"DATABASE_URL", "NATS_URL"}


def forget_what_is_set() -> None:
    """Remove all that settings are read from, of this process and of those that it starts; not `TASKMILL_TEST_…`."""
    for name in list(os.environ):
        if name in _OTHER_NAMES or (name.startswith("TASKMILL_") and not name.startswith("TASKMILL_TEST_")):
            del os.environ[name]
    _forget_env_file(Settings)


def keep_files_in_memory() -> None:
    """Have temporary folders made in memory where there is room, unless `TMPDIR` says where.

    A database consists of 300 files. To make and remove them takes 20 ms in memory, and up to a second on a disk.
    """
    if "TMPDIR" in os.environ or not MEMORY.is_dir():
        return
    found = os.statvfs(MEMORY)
    if found.f_bavail * found.f_frsize >= ENOUGH_BYTES and not found.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = str(MEMORY)
        # It is looked up once.
        tempfile.tempdir = None


def _forget_env_file(settings: type[Settings]) -> None:
    settings.model_config["env_file"] = None
    for subclass in settings.__subclasses__():
        _forget_env_file(subclass)
