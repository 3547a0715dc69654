"""Disks of their own for servers, so that a full one hurts nobody else. They are tmpfs mounts, which need root."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

_ROOMY = "4g"

_LEFT_BYTES = 256 * 1024
"""What is written between the look and the change must not make the disk smaller than what is on it."""


async def can_mount(directory: Path) -> bool:
    """Whether disks can be mounted, tried on an empty directory."""
    try:
        async with own_disks([directory]):
            return True
    except OSError:
        return False


@asynccontextmanager
async def own_disks(directories: Sequence[Path]) -> AsyncIterator[None]:
    """Mount a disk with more than enough room at each of the directories, which are made.

    Raises:
        OSError: It cannot be mounted.
    """
    mounted: list[Path] = []
    try:
        for directory in directories:
            directory.mkdir(parents=True, exist_ok=True)
            await _run("mount", "-t", "tmpfs", "-o", f"size={_ROOMY},mode=711", "tmpfs", str(directory))
            mounted.append(directory)
        yield
    finally:
        for directory in mounted:
            await _run("umount", "--lazy", str(directory))


@asynccontextmanager
async def full_disk(directory: Path) -> AsyncIterator[None]:
    """Take the room from a disk, and give it back; what is left is used up within moments."""
    try:
        await _resize(directory, str(_used_bytes(directory) + _LEFT_BYTES))
        yield
    finally:
        await _resize(directory, _ROOMY)


def is_full(directory: Path) -> bool:
    """Whether nothing at all is left of a disk."""
    return os.statvfs(directory).f_bfree == 0


def _used_bytes(directory: Path) -> int:
    disk = os.statvfs(directory)
    return (disk.f_blocks - disk.f_bfree) * disk.f_frsize


async def _resize(directory: Path, size: str) -> None:
    await _run("mount", "-o", f"remount,size={size}", str(directory))


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    if await process.wait():
        raise OSError(f"{command[0]} failed for {command[-1]}")
