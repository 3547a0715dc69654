"""The disk of a server is full. It has one of its own then."""

import asyncio
from pathlib import Path

from tests.chaos.disks import full_disk, is_full
from tests.chaos.faults.fault import FaultMissedError, Scene
from tests.support.eventually import eventually

_FULL_WITHIN_SECONDS = 20
_SECONDS = 3


async def nats_disk_full(scene: Scene) -> str:
    """JetStream stores nothing more: no work, no report, no event."""
    await _fill(scene.stack.nats.data_dir)
    # JetStream gives up on a stream whose file it could not write, until the server is started again.
    await scene.stack.restart_nats()
    return scene.stack.nats.name


async def postgres_disk_full(scene: Scene) -> str:
    """PostgreSQL refuses writes, or ends when its log cannot grow."""
    try:
        await _fill(scene.stack.postgres.data_dir)
    finally:
        # When it ends it gives back room: that may have been too soon for anybody to see the disk full.
        if not scene.stack.postgres.is_running:
            await scene.stack.restart_postgres()
    return scene.stack.postgres.name


async def _fill(directory: Path) -> None:
    async with full_disk(directory):
        try:
            await eventually(lambda: is_full(directory), within_seconds=_FULL_WITHIN_SECONDS)
        except AssertionError:
            raise FaultMissedError(f"the disk was not full within {_FULL_WITHIN_SECONDS} s") from None
        await asyncio.sleep(_SECONDS)
