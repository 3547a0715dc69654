"""The code of the commit before the newest migration, out of git."""

import asyncio
import os
import tarfile
from io import BytesIO
from pathlib import Path

from taskmill.task_store.migrations import VERSIONS, newest_revision

ROOT = Path(__file__).parents[2]
SOURCES = ("libs/contracts/src", "libs/runtime/src", "libs/sdk/src", "services/task-store/src")


async def environment_before_newest_migration(folder: Path) -> dict[str, str]:
    """Unpack the code there; return the environment in which Python takes a task store, and what it needs, from it."""
    commit = await _commit_before_newest_migration()
    archive = await _git("archive", "--format=tar", commit, *SOURCES)
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(str(folder / source) for source in SOURCES)}


async def _commit_before_newest_migration() -> str:
    """The commit before the one by which the newest migration came to this branch; not committed yet: the last one."""
    [file] = VERSIONS.glob(f"{newest_revision()}_*.py")
    path = str(file.relative_to(ROOT))
    if await _text("rev-parse", "--is-shallow-repository") == "true":
        # What lies before is not in the clone. Where it cannot be had, this fails, and says what git says.
        await _git("fetch", "--quiet", "--unshallow")
    added = await _text("log", "--first-parent", "-m", "--diff-filter=A", "--format=%H", "-1", "HEAD", "--", path)
    return await _text("rev-parse", "--verify", f"{added}^1^{{commit}}" if added else "HEAD")


async def _text(*arguments: str) -> str:
    return (await _git(*arguments)).decode().strip()


async def _git(*arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *("git", "-c", f"safe.directory={ROOT}", *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, f"git {' '.join(arguments)} in {ROOT}: {errors.decode()}"
    return output
