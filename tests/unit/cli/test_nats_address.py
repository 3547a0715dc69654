"""Which NATS a processor joins that is started by hand."""

import json
import os
from pathlib import Path

import pytest

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


def test_a_stack_that_does_not_run(data_dir: Path) -> None:
    """What a killed launcher has left behind is not joined; that the default is taken is said."""
    PidFile(data_dir / "nats" / "nats-server.pid").remove()
    found = find_nats()
    assert (found.url, f"no stack runs on {data_dir}" in found.origin) == ("nats://127.0.0.1:4222", True)


def test_what_is_shown() -> None:
    """No user and no password, of none of several addresses."""
    assert without_credentials(f"{URL},tls://b:2") == "nats://127.0.0.1:4999,tls://b:2"
