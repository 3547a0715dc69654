"""Standard streams that are closed, or that nobody reads any more."""

from pathlib import Path

import pytest

from taskmill.cli.exit_codes import ExitCode
from tests.support.cli import Command


@pytest.fixture
def taskmill(tmp_path: Path) -> Command:
    """The command, where no gateway is."""
    return Command(tmp_path, {"TASKMILL_URL": "http://127.0.0.1:1"})


@pytest.mark.parametrize("arguments", ["spec asyncapi", "spec --help"])
async def test_a_reader_has_gone(taskmill: Command, arguments: str) -> None:
    """The command ends quietly, as those do that a signal ends."""
    ran = await taskmill.shell(f"taskmill {arguments} | true; echo ${{PIPESTATUS[0]}}")
    # What is short may have been written before the reader went.
    assert (int(ran.out) in {ExitCode.OK, ExitCode.BROKEN_PIPE}, ran.err) == (True, ""), ran


async def test_a_reader_who_never_was(taskmill: Command) -> None:
    """Also what is short is not written."""
    for arguments in ("context ls -o json", "--version"):
        script = f"exec 3> >(true); wait $!; taskmill {arguments} >&3; echo $?"
        ran = await taskmill.shell(script)
        assert (int(ran.out), ran.err) == (ExitCode.BROKEN_PIPE, ""), ran


async def test_streams_that_are_closed(taskmill: Command) -> None:
    """Nothing is printed there, nothing is read, and the command ends as it does otherwise."""
    for script, status in [
        ("taskmill context ls -o json >&-", ExitCode.OK),
        ("taskmill --version >&- 2>&- <&-", ExitCode.OK),
        ("taskmill get 1 >&- 2>&-", ExitCode.USAGE),
        ("taskmill submit echo -d - <&- 2>/dev/null", ExitCode.USAGE),
    ]:
        ran = await taskmill.shell(f"{script}; echo $?")
        assert (ran.out, ran.err) == (f"{int(status)}\n", ""), script


async def test_a_disk_that_is_full(taskmill: Command) -> None:
    """That what was printed is not there is told."""
    ran = await taskmill.shell("taskmill context ls -o json > /dev/full; echo $?")
    assert (ran.out, "No space left" in ran.err, "Traceback" in ran.err) == ("1\n", True, False), ran
