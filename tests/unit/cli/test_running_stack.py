"""A drill finds the stack that runs here, or says why there is none."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from taskmill.cli.drill.running_stack import find_stack
from taskmill.cli.errors import StackNotRunningError
from taskmill.cli.main import app
from taskmill.cli.pid_file import PidFile, command_line


def list_processes(data_dir: Path, *, nats_pid: int, nats_runs_as: list[str]) -> None:
    """Write what `taskmill up` writes."""
    processes = [
        {"name": "nats-server", "pid": nats_pid, "url": "nats://127.0.0.1:4222"},
        {"name": "task-store", "pid": nats_pid, "url": None},
        {"name": "gateway", "pid": nats_pid, "url": "http://127.0.0.1:8000"},
    ]
    data_dir.joinpath("stack.json").write_text(json.dumps(processes))
    data_dir.joinpath("nats").mkdir()
    PidFile(data_dir / "nats" / "nats-server.pid").write(nats_pid, nats_runs_as)


def test_a_stack_that_runs_here_is_found(tmp_path: Path) -> None:
    """By what the launcher wrote down."""
    list_processes(tmp_path, nats_pid=os.getpid(), nats_runs_as=[command_line(os.getpid()) or ""])
    stack = find_stack(tmp_path)
    assert (stack.nats_pid, stack.nats_dir) == (os.getpid(), tmp_path / "nats")
    assert (stack.nats_url, stack.gateway_url) == ("nats://127.0.0.1:4222", "http://127.0.0.1:8000")


def test_a_process_of_somebody_else_is_not_taken_for_it(tmp_path: Path) -> None:
    """A directory may have come from another machine, where the same number was a nats-server."""
    list_processes(tmp_path, nats_pid=os.getpid(), nats_runs_as=["nats-server"])
    with pytest.raises(StackNotRunningError, match="does not run on this machine"):
        find_stack(tmp_path)


@pytest.mark.parametrize("content", [None, "", "{}", "[1]", "[]", '[{"name": "nats-server", "pid": 1, "url": null}]'])
def test_where_nothing_runs_nothing_is_found(tmp_path: Path, content: str | None) -> None:
    """Neither without a stack file, nor with one that lists nothing of use; the command says so and ends with 1."""
    if content is not None:
        tmp_path.joinpath("stack.json").write_text(content)
    result = CliRunner().invoke(app, ["drill", "broker-loss", "--yes"], env={"TASKMILL_DATA": str(tmp_path)})
    assert result.exit_code == 1
    assert f"no stack of `taskmill up` runs here on {tmp_path}" in result.output


@pytest.mark.parametrize("answer", ["", "n\n"], ids=["nobody", "no"])
def test_a_drill_that_is_not_agreed_to_does_nothing(tmp_path: Path, answer: str) -> None:
    """It says how to do without the question, for instance where there is no terminal."""
    list_processes(tmp_path, nats_pid=os.getpid(), nats_runs_as=[command_line(os.getpid()) or ""])
    result = CliRunner().invoke(app, ["drill", "broker-loss"], env={"TASKMILL_DATA": str(tmp_path)}, input=answer)
    assert result.exit_code == 1
    assert "Go on? [y/N]" in result.output
    assert "nothing was done; `--yes` has it done without a question" in result.output
