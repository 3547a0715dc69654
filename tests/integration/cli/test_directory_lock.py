"""One launcher for one data directory."""

import fcntl
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


def test_nothing_is_left_at_the_end(tmp_path: Path) -> None:
    """Neither the file, nor a directory that was made for it; but one in which something is, and one that was there."""
    for _ in range(2):
        with directory_lock(tmp_path / "new"):
            assert [path.name for path in (tmp_path / "new").iterdir()] == ["launcher.lock"]
        assert not (tmp_path / "new").exists()
    with directory_lock(tmp_path / "used"):
        (tmp_path / "used" / "file").touch()
    assert [path.name for path in (tmp_path / "used").iterdir()] == ["file"]
    (tmp_path / "empty").mkdir()
    with directory_lock(tmp_path / "empty"):
        pass
    assert (tmp_path / "empty").is_dir()


def test_a_refusal_leaves_everything_to_the_holder(tmp_path: Path) -> None:
    """Its file stays, and so does its lock."""
    with directory_lock(tmp_path):
        for _ in range(2):
            with pytest.raises(DirectoryInUseError), directory_lock(tmp_path):
                pass
        assert (tmp_path / "launcher.lock").exists()


def test_a_lock_whose_file_was_removed_holds_nobody_off(tmp_path: Path) -> None:
    """Who has opened the file of one that has just ended takes a new one."""
    path = tmp_path / "launcher.lock"
    with path.open("a+") as gone:
        fcntl.flock(gone, fcntl.LOCK_EX)
        path.unlink()
        with directory_lock(tmp_path), pytest.raises(DirectoryInUseError), directory_lock(tmp_path):
            pass
