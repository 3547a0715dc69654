"""Small disks for servers, so that a full one hurts nobody else."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

_MEBIBYTES = 768


@asynccontextmanager
async def small_disks(directories: Sequence[Path]) -> AsyncIterator[None]:
    """Mount a tmpfs of 768 MiB at each of the directories, which are made; needs root.

    Raises:
        OSError: It cannot be mounted.
    """
    mounted: list[Path] = []
    try:
        for directory in directories:
            directory.mkdir(parents=True)
            await _run("mount", "-t", "tmpfs", "-o", f"size={_MEBIBYTES}m,mode=711", "tmpfs", str(directory))
            mounted.append(directory)
        yield
    finally:
        for directory in mounted:
            await _run("umount", "--lazy", str(directory))


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    if await process.wait():
        raise OSError(f"{command[0]} failed for {command[-1]}")
