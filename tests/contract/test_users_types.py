"""A user's project passes `mypy --strict` with the packages as they are installed."""

import asyncio
import re
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.tutorial.page import Save, steps
from tools.api_reference import Reference

PACKAGES = ("contracts", "runtime", "sdk")
"""What a user installs to write handlers and programs."""

PROGRAM = '''\
"""What is inferred, and what is wrong."""

import asyncio
from typing import Annotated, Any, assert_type
from uuid import UUID

from pydantic import BaseModel

from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import Attempt, Task, TaskSummary
from taskmill.sdk import AsyncClient, Client, Context, Depends, Retry, TaskApp
from taskmill.sdk.client import ApiError, Event
from taskmill.sdk.program import Program
from taskmill.sdk.subscribing import GapError, Subscriber
from taskmill.sdk.testing import TaskOutcome, run_task

app = TaskApp("media")
app.task("program")(Program(["./thumb.sh"]))


class Order(BaseModel):
    width: int


def state(ctx: Context) -> int:
    return ctx.attempt


@app.task("resize", queue="media", timeout=60, retry=Retry(attempts=3, give_up=(ValueError,)), concurrency=2)
async def resize(order: Order, ctx: Context, attempt: Annotated[int, Depends(state)]) -> list[int]:
    assert_type(ctx.submit("echo", key="one"), UUID)
    ctx.log.info("at work", attempt=attempt)
    ctx.progress(0.5, checkpoint={"page": 1})
    return [order.width]


@app.task("plain", process=True)
def plain(payload: dict[str, Any], ctx: Context) -> None:
    ctx.extend(10)


async def programs() -> None:
    with Client("http://127.0.0.1:8000") as client:
        assert_type(client.run("resize", {"width": 1}, labels={"a": "b"}, priority="high"), Task)
        assert_type(list(client.list(status=TaskStatus.FAILED)), list[TaskSummary])
        assert_type(list(client.attempts("id")), list[Attempt])
        assert_type(client.get("id"), Task)
        assert_type(client.get("id", if_none_match=1), Task | None)
        client.submit_many([{"kind": "resize", "payload": {"width": 1}}])
        for event in client.watch(kind="resize", types=["completed"]):
            assert_type(event, Event)
    async with AsyncClient() as async_client:
        try:
            assert_type(await async_client.run("resize"), Task)
        except ApiError as error:
            assert_type(error.code, str)
    async with Subscriber(types=["completed"]) as subscriber:
        try:
            async for event in subscriber.events(after=0):
                assert_type(event, Event)
        except GapError as gap:
            assert_type(gap.resume_after, int)
    outcome = await run_task(resize, Order(width=1), attempts=2)
    assert_type(outcome, TaskOutcome)
    assert_type(outcome.result_as(Order), Order)


assert_type(asyncio.run(resize(Order(width=1), None, 1)), list[int])  # wrong: None is no context
Retry(attempts="3")  # wrong: a text
Client().submit("resize", colour="red")  # wrong: no such option
app.task(12)  # wrong: no kind
'''


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the packages as wheels bring them, and what they need from this one."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "venv" / "lib" / version / "site-packages"
    for name in PACKAGES:
        asyncio.run(
            run(ROOT / "libs" / name, sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
        )
    for wheel in folder.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(packages)
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "venv" / "bin" / "python"


async def run(folder: Path, *command: str) -> str:
    """Run a command, and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(100):
        output, _ = await process.communicate()
    return output.decode()


async def mypy(folder: Path, python: Path) -> list[str]:
    """What `mypy --strict` says of a folder, but for the last line."""
    options = [
        "--strict",
        "--config-file=",
        "--cache-dir",
        str(folder / ".mypy_cache"),
        "--python-executable",
        str(python),
    ]
    output = await run(folder, sys.executable, "-m", "mypy", *options, ".")
    return output.splitlines()[:-1]


async def test_the_project_of_the_tutorial(python: Path, tmp_path: Path) -> None:
    """All of its files."""
    for step in steps((ROOT / "docs" / "tutorial.md").read_text()):
        if isinstance(step, Save):
            (tmp_path / step.name).write_text(step.text)
    assert await mypy(tmp_path, python) == []


async def test_every_public_name(python: Path, tmp_path: Path) -> None:
    """Each is exported from where the reference says; what is used is inferred, and what is wrong is found."""
    (tmp_path / "program.py").write_text(PROGRAM)
    imports = [f"from {page.module} import {name}\n" for page in Reference(ROOT).pages for name in page.names]
    (tmp_path / "names.py").write_text("".join(imports))
    wrong = [number for number, line in enumerate(PROGRAM.splitlines(), 1) if "# wrong: " in line]
    said = await mypy(tmp_path, python)
    errors = [re.fullmatch(r"program\.py:(\d+): error: .*", line) for line in said if ": note: " not in line]
    assert [int(error[1]) if error else said for error in errors] == wrong, said
