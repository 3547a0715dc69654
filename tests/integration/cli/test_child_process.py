"""Child processes, their pid files and their logs, with small real programs."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from taskmill.cli.child_process import ChildProcess
from taskmill.cli.pid_file import PidFile
from tests.support.eventually import eventually
from tests.support.processes import is_alive

# Both tell when they are that far: before that, a signal would meet another program.
# Both tell when they are that far: before that, a signal would meet another program.
PAUSE = "import signal; print('ready', flush=True); signal.pause()"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {PAUSE}"


def python(code: str) -> list[str]:
    """Return the command line that runs `code`."""
    return [sys.executable, "-c", code]


def child_in(directory: Path) -> ChildProcess:
    """Describe a child whose files are in `directory`."""
    return ChildProcess(
        "child", pid_file=directory / "child.pid", log_file=directory / "child.log", stop_within_seconds=0.2
    )


@pytest.fixture
async def child(tmp_path: Path) -> AsyncIterator[ChildProcess]:
    """A child process that is not started yet; it is stopped in the end."""
    child = child_in(tmp_path)
    yield child
    await child.stop()


async def test_a_child_is_stopped_by_the_polite_signal(child: ChildProcess, tmp_path: Path) -> None:
    """A stopped child has no pid and no pid file, and its exit status tells the signal."""
    await child.spawn(python(PAUSE))
    await eventually(lambda: child.log_tail() == "ready")
    assert child.is_running
    assert (tmp_path / "child.pid").exists()
    await child.stop()
    assert child.pid is None
    assert await child.wait() == -signal.SIGTERM
    assert not (tmp_path / "child.pid").exists()


async def test_a_child_that_does_not_stop_is_killed(child: ChildProcess) -> None:
    """Past its time a child is ended by SIGKILL."""
    await child.spawn(python(STUBBORN))
    await eventually(lambda: child.log_tail() == "ready")
    await child.stop()
    assert await child.wait() == -signal.SIGKILL


async def test_stopping_twice_or_before_the_start_does_nothing(child: ChildProcess) -> None:
    """`stop` is idempotent and legal before the start."""
    await child.stop()
    await child.spawn(python(PAUSE))
    await child.stop()
    await child.stop()


async def test_a_child_gets_the_given_environment_and_no_terminal(child: ChildProcess) -> None:
    """Only the given variables arrive, and Ctrl-C in the parent's terminal does not: the session is another one."""
    code = "import os; print(os.environ.get('A'), 'HOME' in os.environ, os.getsid(0) == os.getpid())"
    await child.spawn(python(code), environment={"A": "b"})
    assert await child.wait() == 0
    assert child.log_tail() == "b False True"


async def test_the_log_tail_is_the_last_ten_lines(child: ChildProcess) -> None:
    """A long log is not read whole, nor shown."""
    await child.spawn(python("for n in range(5000): print(n)"))
    await child.wait()
    assert child.log_tail().splitlines() == [str(n) for n in range(4990, 5000)]


async def test_a_large_log_is_put_aside_at_the_next_start(child: ChildProcess, tmp_path: Path) -> None:
    """Logs do not grow without bound over many starts."""
    (tmp_path / "child.log").write_bytes(b"x" * (16 * 1024 * 1024 + 1))
    await child.spawn(python("print('new')"))
    await child.wait()
    assert child.log_tail() == "new"
    assert (tmp_path / "child.log.1").stat().st_size > 16 * 1024 * 1024


async def test_a_wrapper_about_to_become_the_program_is_found(child: ChildProcess, tmp_path: Path) -> None:
    """Right after a start the system shows the wrapper's words in front of the program's."""
    await child.spawn(python(PAUSE))
    await eventually(lambda: child.log_tail() == "ready")
    pid_file = PidFile(tmp_path / "child.pid")
    pid_file.write(child.pid or 0, python(PAUSE)[1:])
    assert pid_file.running_pid() == child.pid


@pytest.mark.parametrize("code", [PAUSE, STUBBORN])
async def test_an_orphan_is_ended_by_the_next_parent(child: ChildProcess, tmp_path: Path, code: str) -> None:
    """Whoever finds the pid file ends the process in it, politely or not."""
    await child.spawn(python(code))
    await eventually(lambda: child.log_tail() == "ready")
    orphan = child.pid
    assert orphan is not None
    await child_in(tmp_path).end_orphan()
    assert not is_alive(orphan)
    assert not (tmp_path / "child.pid").exists()


async def test_a_pid_that_now_belongs_to_another_program_is_left_alone(child: ChildProcess, tmp_path: Path) -> None:
    """The command line has to match, for the system gives pids out again."""
    await child.spawn(python(PAUSE))
    PidFile(tmp_path / "child.pid").write(child.pid or 0, ["/usr/sbin/something", "else"])
    await child_in(tmp_path).end_orphan()
    assert child.is_running


@pytest.mark.parametrize("content", ["", "12", "{}", '{"pid": "x", "command": []}', '{"pid": 1'])
async def test_a_damaged_pid_file_names_nobody(tmp_path: Path, content: str) -> None:
    """Whatever a crash left in the file, the next start goes on."""
    (tmp_path / "child.pid").write_text(content)
    await child_in(tmp_path).end_orphan()
    assert not (tmp_path / "child.pid").exists()


async def test_a_cancelled_wait_leaves_the_child_running(child: ChildProcess, tmp_path: Path) -> None:
    """Who watches a child may stop watching."""
    await child.spawn(python(PAUSE))
    watch = asyncio.create_task(child.wait())
    await asyncio.sleep(0)
    watch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watch
    assert child.is_running
    assert json.loads((tmp_path / "child.pid").read_text())["pid"] == child.pid
