"""Follows docs/tutorial.md in a fresh clone of what is committed, and tells how long that took.

Run `python -m tests.tutorial` in the repository's root. It ends with 1 when the page is wrong, or too much time passes
between `make run` and the first task that the reader's own handler has completed.
"""

import asyncio
import subprocess
import sys
import time

from benchmarks.machine import describe_machine, server_directory
from tests.support.environment import forget_what_is_set
from tests.support.paths import ROOT
from tests.tutorial.reader import Reader

BEGIN = "make run"
OWN_TASK = "python one.py"
OWN_TASK_WITHIN_SECONDS = 180
STEP_WITHIN_SECONDS = 300
"""To install takes longest."""


async def main() -> int:
    """Follow the page; returns the exit status."""
    began_at = time.monotonic()

    def tell(what: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began_at:5.1f} s  {what}\n")
        sys.stdout.flush()

    forget_what_is_set()
    with server_directory() as folder:
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder / "taskmill")], check=True)  # noqa: ASYNC221, S603, S607
        reader = Reader(folder, within_seconds=STEP_WITHIN_SECONDS, tell=tell)
        await reader.follow((folder / "taskmill" / "docs" / "tutorial.md").read_text())
    tell(reader.terminals[2].output.splitlines()[-2])
    ready, done = (it - reader.typed_at[BEGIN] for it in (reader.done_at[BEGIN], reader.done_at[OWN_TASK]))
    tell(f"on {describe_machine()}")
    tell(f"from `{BEGIN}` to ready, with what it installs: {ready:.0f} s")
    tell(f"to the first task of the own handler: {done:.0f} s, of {OWN_TASK_WITHIN_SECONDS} at most")
    return 0 if done <= OWN_TASK_WITHIN_SECONDS else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
