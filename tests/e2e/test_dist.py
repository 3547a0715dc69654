"""What `make dist` builds is all that a user installs."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from benchmarks.machine import server_directory
from tests.support.paths import ROOT
from tests.support.stack import TaskmillUp

pytestmark = pytest.mark.timeout(300)

HANDLER = """
from pydantic import BaseModel

from taskmill.sdk import Context, TaskApp

app = TaskApp("greetings")


class Person(BaseModel):
    name: str


@app.task("greet")
async def greet(person: Person, _ctx: Context) -> str:
    return f"Hello, {person.name}."
"""

CALL = """
import sys

from taskmill.sdk import Client

with Client(sys.argv[1]) as client:
    print(client.run("greet", {"name": "Ada"}).result)
"""


async def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run a program to its end, which must be a good one; return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()[-2_000:]
    return output.decode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def directory() -> AsyncIterator[Path]:
    """Where the wheels are, in `dist`, and a folder for somebody's project."""
    with server_directory() as path:
        await run("make", "dist", f"DIST={path / 'dist'}", f"PYTHON={sys.executable}")
        # What is tested is installed, and not what was released since.
        pins = re.findall(r"^[a-z0-9-]+==[^ ;]+(?: ;[^\\\n]*)?", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
        (path / "pins.txt").write_text("\n".join(pins))
        yield path


async def install(directory: Path, what: str) -> Path:
    """Install the wheels into an empty environment, whose folder of programs is returned."""
    environment = directory / what.replace("[", "-").rstrip("]")
    await run(sys.executable, "-m", "venv", environment)
    options = ("--quiet", "--find-links", directory / "dist", "--constraint", directory / "pins.txt")
    await run(environment / "bin/pip", "install", *options, what)
    return environment / "bin"


async def test_the_whole_service_runs_from_wheels(directory: Path) -> None:
    """One command installs it; `taskmill up` serves a handler of the user's, and a program gets its result."""
    programs = await install(directory, "taskmill[server]")
    (directory / "greetings.py").write_text(HANDLER)
    stack = TaskmillUp(
        directory / "data", environment={"TASKMILL_APPS": "greetings:app"}, command=(str(programs / "taskmill"),)
    )
    await stack.start()
    try:
        assert await run(programs / "python", "-c", CALL, stack.url, cwd=directory) == "Hello, Ada.\n"
    finally:
        await stack.end()


async def test_clients_need_no_server(directory: Path) -> None:
    """Without the extra there is the SDK and the command; what needs more says so."""
    programs = await install(directory, "taskmill")
    await run(programs / "python", "-c", "from taskmill.sdk import AsyncClient, Client, TaskApp")
    assert "submit" in await run(programs / "taskmill", "--help")
    assert "asyncapi" in await run(programs / "taskmill", "spec", "asyncapi")
    for command in (["up"], ["migrate", "status"], ["spec", "openapi"]):
        status, _, errors = await ended(programs / "taskmill", *command, directory=directory)
        assert (status, "pip install 'taskmill[server]'" in errors) == (2, True), command
    status, output, errors = await ended(programs / "taskmill", "doctor", "--output", "json", directory=directory)
    assert (status, errors) in {(0, ""), (1, "")}, errors
    looks = {remark["what"]: remark["level"] for remark in json.loads(output)}
    assert (looks["taskmill"], looks["database"]) == ("ok", "skip")
    status, _, errors = await ended(programs / "taskmill", "list", "--context", "nope", directory=directory)
    assert (status, "taskmill context add" in errors) == (3, True)


async def ended(*command: str | Path, directory: Path) -> tuple[int | None, str, str]:
    """Run a program to its end; return its exit status, and what it printed and said."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=directory,
        # Nothing that is set, and no stack that others run: it may just be ending.
        env={**os.environ, "XDG_CONFIG_HOME": str(directory), "XDG_STATE_HOME": str(directory)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()
