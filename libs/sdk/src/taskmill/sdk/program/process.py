"""The process of a program, which ends with all that it started in its group."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import IO

from taskmill.sdk.calling.child_processes import GUARD, KILL_AFTER_SECONDS


@asynccontextmanager
async def running_process(
    command: Sequence[str],
    *,
    stdin: IO[bytes],
    stdout: IO[bytes],
    stderr: IO[bytes],
    environment: Mapping[str, str],
) -> AsyncIterator[Process]:
    """Start a program in a process group of its own; in the end nobody of that group is left.

    If it still runs then, the group gets SIGTERM, and SIGKILL after a second. When this process dies, however it does,
    the group gets SIGKILL.

    Raises:
        OSError: It cannot be started.
    """
    async with _guarding() as guard:
        process = await _start(command, stdin=stdin, stdout=stdout, stderr=stderr, env=environment)
        guard(process.pid)
        try:
            yield process
        finally:
            await _end(process)


@asynccontextmanager
async def _guarding() -> AsyncIterator[Callable[[int], None]]:
    """Have a process that outlives this one, and is told which group must not."""
    reading_end, writing_end = os.pipe()
    try:
        try:
            guard = await _start(GUARD, stdin=reading_end, stdout=DEVNULL, stderr=DEVNULL)
        finally:
            os.close(reading_end)
        try:
            yield lambda group: _write(writing_end, f"{group}\n".encode())
        finally:
            # Before it notices that the other end is gone.
            _signal(os.kill, guard.pid, signal.SIGKILL)
            await guard.wait()
    finally:
        os.close(writing_end)


async def _start(command: Sequence[str], **options: object) -> Process:
    starting = asyncio.ensure_future(
        # A Ctrl-C in the terminal is the processor's to answer.
        asyncio.create_subprocess_exec(*command, start_new_session=True, **options)  # type: ignore[arg-type]
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _end(await starting)
        raise


async def _end(process: Process) -> None:
    try:
        if process.returncode is None:
            _signal(os.killpg, process.pid, signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), KILL_AFTER_SECONDS)
    finally:
        # Also where the process itself is gone: others of its group may be left.
        _signal(os.killpg, process.pid, signal.SIGKILL)
        await process.wait()


def _signal(send: Callable[[int, int], None], receiver: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        send(receiver, number)


def _write(descriptor: int, data: bytes) -> None:
    # Without its guard a program runs all the same.
    with suppress(BrokenPipeError):
        os.write(descriptor, data)
