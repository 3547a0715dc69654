"""Who ends is started again, and stack.json stays true."""

import asyncio
import json
from pathlib import Path

import pytest

from taskmill.cli.errors import ServerStartError
from taskmill.cli.stack_file import StackFile
from taskmill.cli.supervision import describe_end, keep_running
from tests.support.eventually import eventually


class FakeProcess:
    """A process in name only: the test says when it ends, and whether it starts."""

    def __init__(self) -> None:
        self.name = "fake"
        self.url = None
        self.pid: int | None = 1
        self.start_errors: list[ServerStartError] = []
        self.starts = 0
        self._ended = asyncio.Event()

    async def start(self) -> None:
        """Start, or fail as the test wants."""
        self.starts += 1
        if self.start_errors:
            raise self.start_errors.pop()
        self.pid = 1 + self.starts
        self._ended.clear()

    def end(self) -> None:
        """Crash."""
        self.pid = None
        self._ended.set()

    async def wait(self) -> int:
        """Wait for `end`."""
        await self._ended.wait()
        return -9

    async def stop(self) -> None:
        """Never called here."""

    def abandon(self) -> None:
        """Never called here."""

    def log_tail(self) -> str:
        """Return what the process logged last."""
        return "its last words"


async def test_a_process_that_ended_is_started_again(tmp_path: Path) -> None:
    """People see how it ended and the end of its log; the file shows it only while it runs."""
    process, warnings = FakeProcess(), list[str]()
    stack = tmp_path / "stack.json"
    supervision = asyncio.create_task(keep_running(process, StackFile(stack, [process]), warnings.append))
    process.end()
    await eventually(lambda: stack.exists() and json.loads(stack.read_text()) == [])
    await eventually(lambda: json.loads(stack.read_text()) == [{"name": "fake", "pid": 2, "url": None}])
    assert warnings[0].startswith("fake was ended by SIGKILL")
    assert warnings[1] == "its last words"
    supervision.cancel()
    with pytest.raises(asyncio.CancelledError):
        await supervision


async def test_a_start_that_fails_is_tried_again(tmp_path: Path) -> None:
    """A server that does not come back at once, because its port is taken for now, gets another try."""
    process, warnings = FakeProcess(), list[str]()
    process.start_errors = [ServerStartError("fake", "port taken")]
    stack_file = StackFile(tmp_path / "stack.json", [process])
    supervision = asyncio.create_task(keep_running(process, stack_file, warnings.append))
    process.end()
    await eventually(lambda: process.starts == 2 and process.pid is not None)
    assert [warning for warning in warnings if "port taken" in warning], warnings
    supervision.cancel()
    with pytest.raises(asyncio.CancelledError):
        await supervision


@pytest.mark.parametrize(("status", "text"), [(0, "ended with status 0"), (-15, "was ended by SIGTERM")])
def test_an_end_is_described(status: int, text: str) -> None:
    """Signals have names."""
    assert describe_end(status) == text
