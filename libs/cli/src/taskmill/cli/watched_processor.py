"""`taskmill processor run --watch`: a processor that is started anew when its source files change."""

import asyncio
import importlib.util
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from watchfiles import PythonFilter, awatch

from taskmill.cli.exit_codes import ExitCode
from taskmill.cli.output import say
from taskmill.cli.process_prefixes import die_with_parent
from taskmill.cli.registry import NAME

END_MARGIN_SECONDS = 15.0
"""What a processor may take to end beyond the grace of its handlers; then it is killed."""


def watched_paths(apps: Sequence[str], folder: Path) -> list[Path]:
    """Where source files are: in a folder, and wherever the packages of apps are that are neither there nor installed.

    Args:
        apps: Each as `module:attribute`. Nothing is imported.
        folder: The folder, with all that are in it.
    """
    paths = [folder]
    for name in dict.fromkeys(app.partition(":")[0].partition(".")[0] for app in apps):
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            continue
        found = [] if spec is None else [*(spec.submodule_search_locations or [spec.origin or ""])]
        for place in map(Path, filter(None, found)):
            is_installed = "site-packages" in place.parts
            if place.exists() and not is_installed and not place.resolve().is_relative_to(folder.resolve()):
                paths.append(place)
    return paths


class WatchedProcessor:
    """Runs a processor until a signal, and starts it anew when files change: the old one drains first.

    A processor that ends by itself with an error, for its module cannot be imported for one, is started again at the
    next change. One that drains because it was told to is not.

    Args:
        options: The command line of `python -m taskmill.processor`.
        paths: Files and folders that are watched, for what ends in `.py`.
        end_within_seconds: How long a processor may take to drain before it is killed.
    """

    def __init__(self, options: Sequence[str], paths: Sequence[Path], *, end_within_seconds: float) -> None:
        self._options = options
        self._paths = paths
        self._end_within_seconds = end_within_seconds
        self._stop_requested = asyncio.Event()
        self._changed = asyncio.Event()
        self._process: Process | None = None
        self._is_ending = False

    async def run(self) -> int:
        """Run until SIGINT or SIGTERM, which drains the processor; a second one ends it at once.

        Returns:
            The exit status: that of the last processor, and 0 if none ran; 1: the files cannot be watched.
        """
        with self._signals():
            tasks = watching, serving = asyncio.create_task(self._watch()), asyncio.create_task(self._serve())
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._stop_requested.set()
                await asyncio.wait(tasks)
                await self._end()
        serving.result()
        if (error := watching.exception()) is not None:
            say(f"{NAME}: the files cannot be watched: {error}")
            say("WATCHFILES_FORCE_POLLING=true has them looked at again and again instead.")
            return ExitCode.FAILED
        if self._process is None or self._process.returncode == -signal.SIGTERM:  # it had only begun to start
            return ExitCode.OK
        return _status(self._process)

    async def _watch(self) -> None:
        async for _ in awatch(*self._paths, watch_filter=PythonFilter(), stop_event=self._stop_requested):
            self._changed.set()

    async def _serve(self) -> None:
        while not self._stop_requested.is_set():
            self._changed.clear()
            process = await self._start()
            await _first_of(process.wait(), self._changed.wait(), self._stop_requested.wait())
            if self._changed.is_set() and not self._stop_requested.is_set():
                say(f"{NAME}: files have changed: the processor is started anew.")
                await self._end()
            elif process.returncode == 0:
                return
            elif not self._stop_requested.is_set():
                ending = f"exit status {_status(process)}"
                say(f"{NAME}: the processor ended with {ending}: it is started again at the next change.")
                await _first_of(self._changed.wait(), self._stop_requested.wait())
                if self._stop_requested.is_set():
                    self._process = None

    async def _start(self) -> Process:
        process = await asyncio.create_subprocess_exec(
            *die_with_parent(signal.SIGTERM),
            *(sys.executable, "-m", "taskmill.processor", *self._options),
            stdin=DEVNULL,
            # Of a file that changes twice within a second, without getting longer, Python would run what it compiled.
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            # Ctrl-C is for us: twice is once too often for who has to drain.
            start_new_session=True,
        )
        self._process, self._is_ending = process, False
        return process

    async def _end(self) -> None:
        """Drain the processor, and kill it if it does not end."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._ask_to_end()
        try:
            async with asyncio.timeout(self._end_within_seconds):
                await process.wait()
        except TimeoutError:
            say(f"{NAME}: the processor did not end within {self._end_within_seconds:g} s: it is killed.")
            self._send(signal.SIGKILL)
            await process.wait()

    def _ask_to_end(self) -> None:
        # Once: a second signal would end it without draining.
        if not self._is_ending:
            self._is_ending = True
            self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _on_signal(self) -> None:
        if self._stop_requested.is_set():
            self._send(signal.SIGTERM)
            return
        self._stop_requested.set()
        self._ask_to_end()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop, handled = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
        for number in handled:
            loop.add_signal_handler(number, self._on_signal)
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)


async def _first_of(*waited_for: Awaitable[object]) -> None:
    """Return when one of these has come, and wait for the others no longer."""
    waiting = [asyncio.ensure_future(one) for one in waited_for]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


def _status(process: Process) -> int:
    """The exit status as a shell tells it."""
    code = process.returncode or 0
    return code if code >= 0 else 128 - code
