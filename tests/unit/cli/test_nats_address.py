"""Which NATS a processor joins that is started by hand."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmill.cli.known_stacks import data_dir_of_stack, known_stack
from taskmill.cli.nats_address import find_nats, without_credentials
from taskmill.cli.pid_file import PidFile, command_line

URL = "nats://taskmill:secret@127.0.0.1:4999"


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a stack runs, of which this process is the NATS server."""
    data_dir = tmp_path / ".data"
    (data_dir / "nats").mkdir(parents=True)
    entry = {"name": "nats-server", "pid": os.getpid(), "url": URL}
    (data_dir / "stack.json").write_text(json.dumps([entry]))
    PidFile(data_dir / "nats" / "nats-server.pid").write(os.getpid(), [command_line(os.getpid()) or ""])
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("TASKMILL_URL", "TASKMILL_CONTEXT", "TASKMILL_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return data_dir


def test_the_stack_of_the_folder(data_dir: Path) -> None:
    """It is joined, with its password, if nothing else is said."""
    found = find_nats()
    assert (found.url, str(data_dir) in found.origin) == (URL, True)


@pytest.mark.parametrize("variable", ["TASKMILL_NATS_URL", "NATS_URL"])
def test_an_address_that_is_set(data_dir: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:  # noqa: ARG001
    """It beats the stack."""
    monkeypatch.setenv(variable, "nats://elsewhere:1")
    assert find_nats() == ("nats://elsewhere:1", "TASKMILL_NATS_URL")


def test_a_range_of_ports_for_docker_compose(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """It stands in the `.env` that compose reads, and does not keep a processor from being started."""
    monkeypatch.setenv("TASKMILL_PORT", "8000-8001")
    assert find_nats().url == URL


def test_a_stack_that_does_not_run(data_dir: Path) -> None:
    """What a killed launcher has left behind is not joined; that the default is taken is said."""
    PidFile(data_dir / "nats" / "nats-server.pid").remove()
    found = find_nats()
    assert (found.url, f"no stack runs on {data_dir}" in found.origin) == ("nats://127.0.0.1:4222", True)


@pytest.fixture
def another_folder(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder beside that of the stack, whose gateway is where it is by itself."""
    another_folder = tmp_path / "project"
    another_folder.mkdir()
    monkeypatch.chdir(another_folder)
    with known_stack(8000, data_dir):
        yield another_folder


def test_a_folder_beside_the_stack(another_folder: Path, data_dir: Path) -> None:  # noqa: ARG001
    """The stack is joined that commands go to, wherever its NATS listens."""
    assert find_nats() == (URL, f"the stack of http://127.0.0.1:8000, on {data_dir}")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TASKMILL_URL", "http://127.0.0.1:8001"),
        ("TASKMILL_URL", "http://tasks.example.org:8000"),
        ("TASKMILL_URL", "http://127.0.0.1:nonsense"),
        ("TASKMILL_DATA", "elsewhere"),
    ],
)
def test_another_stack_is_meant(
    another_folder: Path,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
) -> None:
    """Then the one that runs is not joined."""
    monkeypatch.setenv(variable, value)
    assert find_nats().url == "nats://127.0.0.1:4222"


def test_a_stack_that_has_ended(another_folder: Path, data_dir: Path) -> None:  # noqa: ARG001
    """Nobody knows of it any more; what was killed and left its note is not joined either."""
    PidFile(data_dir / "nats" / "nats-server.pid").remove()
    assert find_nats().url == "nats://127.0.0.1:4222"
    with known_stack(8000, data_dir):
        pass
    assert data_dir_of_stack(8000) is None


def test_a_stack_that_cannot_be_noted(data_dir: Path, tmp_path: Path) -> None:
    """It runs all the same."""
    (tmp_path / "state").write_text("no folder")
    with known_stack(8000, data_dir):
        assert data_dir_of_stack(8000) is None


def test_what_is_shown() -> None:
    """No user and no password, of none of several addresses."""
    assert without_credentials(f"{URL},tls://b:2") == "nats://127.0.0.1:4999,tls://b:2"
