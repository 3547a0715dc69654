"""The disk of a server is full. Its directory is a tmpfs of its own then, which needs root."""

import asyncio
import errno
from pathlib import Path

from tests.chaos.faults.fault import FaultMissedError, Scene

_SECONDS = 5
_CHUNK = bytes(1024 * 1024)


async def nats_disk_full(scene: Scene) -> str:
    """JetStream stores nothing more: no work, no report, no event."""
    await _fill(scene.stack.nats.data_dir)
    # JetStream gives up on a stream whose file it could not write, until the server is started again.
    await scene.stack.restart_nats()
    return scene.stack.nats.name


async def postgres_disk_full(scene: Scene) -> str:
    """PostgreSQL refuses writes, or ends when its log cannot grow."""
    await _fill(scene.stack.postgres.data_dir)
    if not scene.stack.postgres.is_running:
        await scene.stack.restart_postgres()
    return scene.stack.postgres.name


async def _fill(directory: Path) -> None:
    if not await asyncio.to_thread(directory.is_mount):
        raise FaultMissedError(f"{directory} has no disk of its own")
    filler = directory / "filler"
    try:
        await asyncio.to_thread(_write_until_full, filler)
        await asyncio.sleep(_SECONDS)
    finally:
        filler.unlink()


def _write_until_full(filler: Path) -> None:
    try:
        with filler.open("wb", buffering=0) as file:
            while file.write(_CHUNK):
                pass
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
