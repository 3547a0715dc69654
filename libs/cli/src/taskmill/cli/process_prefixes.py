"""Commands to put in front of another, which change how the system runs it. They keep the pid."""

import functools
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from taskmill.cli.errors import RootRefusedError

NOBODY = 65_534

_UNSHARE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
_SETPRIV_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")


def die_with_parent(death_signal: signal.Signals) -> Sequence[str]:
    """Return the prefix for a process that gets `death_signal` when its parent dies, however that dies.

    Linux keeps this by *thread*: start such a process from the main thread only. Where the system cannot do it, the
    prefix is empty, and the next start finds what was left behind by its pid file.
    """
    prefix = ("setpriv", "--pdeathsig", death_signal.name.removeprefix("SIG"), "--")
    return prefix if is_usable(prefix) else ()


def without_root(data_dir: Path) -> Sequence[str]:
    """Return the prefix for a process that refuses to run as root and keeps its files in `data_dir`.

    For anyone but root it is empty. Root gets a user namespace, in which its files stay root's own. Where that is
    forbidden (in most containers) the process runs as nobody, and `data_dir` becomes nobody's.

    Raises:
        RootRefusedError: Neither works here.
    """
    if os.geteuid() != 0:
        return ()
    if is_usable(_UNSHARE):
        _give_to(data_dir, 0)
        return _UNSHARE
    if is_usable(_SETPRIV_NOBODY):
        _give_to(data_dir, NOBODY)
        return _SETPRIV_NOBODY
    raise RootRefusedError


@functools.cache
def is_usable(prefix: Sequence[str]) -> bool:
    """Tell whether a command behind this prefix runs here. The answer is kept for the life of this process."""
    if shutil.which(prefix[0]) is None:
        return False
    trial = subprocess.run([*prefix, "true"], capture_output=True, check=False)  # noqa: S603 (constants only)
    return trial.returncode == 0


def _give_to(data_dir: Path, uid: int) -> None:
    if data_dir.stat().st_uid == uid:
        return
    for path in (data_dir, *data_dir.rglob("*")):
        os.chown(path, uid, uid, follow_symlinks=False)
