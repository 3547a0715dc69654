"""Node, for what only its packages can tell: `make` installs them, into the folder of each package.json."""

import asyncio
import shutil
from pathlib import Path

NODE_MODULES = "node_modules"


def node_command(script: Path) -> list[str]:
    """What runs a script.

    Raises:
        AssertionError: Node, or what the script imports, is not installed.
    """
    node = shutil.which("node")
    assert node is not None, "node is not installed: the tests need Node 20 or newer, with npm"
    modules = script.parent / NODE_MODULES
    assert modules.is_dir(), f"{modules} is missing: `make install` makes it"
    return [node, str(script)]


async def run_node(script: Path, *arguments: str, within_seconds: float = 60) -> str:
    """Run a script to its end; return what it printed.

    Raises:
        AssertionError: It failed, or took too long; with what it said.
    """
    process = await asyncio.create_subprocess_exec(
        *node_command(script), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(within_seconds):
            stdout, stderr = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise AssertionError(f"{script.name}: not done within {within_seconds} s") from None
    assert process.returncode == 0, stderr.decode()[-4000:]
    return stdout.decode()
