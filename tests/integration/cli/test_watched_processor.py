"""`taskmill processor run --watch`: what a file says counts as soon as it is saved."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from taskmill.cli.watched_processor import watched_paths
from taskmill.contracts.reports import Completed, Started
from tests.integration.processor.harness import store_side

HANDLERS = """
import pathlib
import time

from taskmill.sdk import TaskApp

app = TaskApp("own")
VERSION = "{version}"


@app.task("which")
def which(payload, ctx):
    return VERSION


@app.task("slow")
def slow(payload, ctx):
    while not pathlib.Path("may-end").exists():
        time.sleep(0.01)
    return VERSION
"""


class Watched:
    """A processor that is watched, run from `own.py` of a folder."""

    def __init__(self, folder: Path, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._folder = folder

    def write(self, version: str) -> None:
        """Save handlers of a version."""
        write(self._folder, HANDLERS.format(version=version))

    def break_off(self) -> None:
        """Save what cannot be imported."""
        write(self._folder, "this is no Python")

    async def says(self, text: str) -> None:
        """Wait until something was printed."""
        assert self.process.stderr is not None
        async with asyncio.timeout(20):
            while text not in "".join(self.lines[-1:]):
                line = (await self.process.stderr.readline()).decode()
                assert line, "".join(self.lines)
                self.lines.append(line)


def write(folder: Path, text: str) -> None:
    """Save a file as editors do: it is there as a whole, or not yet."""
    (folder / "own.new").write_text(text)
    (folder / "own.new").replace(folder / "own.py")


@asynccontextmanager
async def watched(nats_url: str, folder: Path) -> AsyncIterator[Watched]:
    """Have one run, which is killed in the end."""
    write(folder, HANDLERS.format(version="first"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from taskmill.cli.main import app; app()"),
        *("processor", "run", "own:app", "--watch", "--concurrency", "2"),
        cwd=folder,
        env={**os.environ, "TASKMILL_NATS_URL": nats_url, "TASKMILL_LOG_FORMAT": "json"},
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield Watched(folder, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_processor_is_started_anew_when_its_files_change(nats_url: str, tmp_path: Path) -> None:
    """What runs is finished by what it was begun with; a file that is broken is tried again; Ctrl-C ends all."""
    async with store_side(nats_url) as store, watched(nats_url, tmp_path) as processor:
        [slow] = await store.dispatch("slow")
        await store.report_of(slow, Started, within_seconds=20)
        processor.write("second")
        await processor.says("files have changed: the processor is started anew")
        await processor.says("service.draining")
        (tmp_path / "may-end").touch()
        assert (await store.report_of(slow, Completed)).result == "first"
        [which] = await store.dispatch("which")
        assert (await store.report_of(which, Completed, within_seconds=20)).result == "second"

        processor.break_off()
        await processor.says("ended with exit status 1: it is started again at the next change")
        assert "SyntaxError: invalid syntax\n" in processor.lines
        processor.write("third")
        [which] = await store.dispatch("which")
        assert (await store.report_of(which, Completed, within_seconds=20)).result == "third"

        processor.process.send_signal(signal.SIGINT)
        await processor.says("service.stopped")
        async with asyncio.timeout(10):
            assert await processor.process.wait() == 0


async def test_what_cannot_be_imported_can_be_left(nats_url: str, tmp_path: Path) -> None:
    """By Ctrl-C, while nothing runs."""
    async with watched(nats_url, tmp_path) as processor:
        processor.break_off()
        await processor.says("it is started again at the next change")
        processor.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(10):
            assert await processor.process.wait() == 0


def test_where_files_are_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here, and where the apps are if that is elsewhere and not installed; nothing is imported for it."""
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for folder in (here, elsewhere / "package", elsewhere / "site-packages" / "installed"):
        folder.mkdir(parents=True)
    for file in (here / "own.py", elsewhere / "alone.py", elsewhere / "package" / "__init__.py"):
        file.write_text("raise SystemExit")
    (elsewhere / "site-packages" / "installed" / "__init__.py").touch()
    for place in (here, elsewhere, elsewhere / "site-packages"):
        monkeypatch.syspath_prepend(place)
    apps = ["own:app", "package.tasks:app", "package:other", "alone:app", "installed:app", "none:app", "sys:app", ":"]
    assert watched_paths(apps, here) == [here, elsewhere / "package", elsewhere / "alone.py"]
