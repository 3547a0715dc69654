"""One launcher for one data directory."""

import os
from pathlib import Path

import pytest

from taskmill.cli.directory_lock import directory_lock
from taskmill.cli.errors import DirectoryInUseError


def test_a_second_holder_is_told_who_the_first_one_is(tmp_path: Path) -> None:
    """The error names the directory, the pid that holds it, and the variable to set."""
    with (
        directory_lock(tmp_path),
        pytest.raises(DirectoryInUseError, match=f"{tmp_path}.*pid {os.getpid()}.*TASKMILL_DATA"),
        directory_lock(tmp_path),
    ):
        pass


def test_the_lock_is_let_go_at_the_end(tmp_path: Path) -> None:
    """The file stays, the lock does not; the directory is made when it is missing."""
    for _ in range(2):
        with directory_lock(tmp_path / "new"):
            pass
