"""The fixture `taskmill_stack`, in the tests of a user's project."""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.pages import blocks, files
from tests.support.processes import is_alive

HANDLERS = """
from taskmill.sdk import Context, TaskApp

app = TaskApp("media")


@app.task("resize")
async def resize(width: int, ctx: Context) -> int:
    return width * 2
"""

SETTINGS = """
[pytest]
addopts = -p no:asyncio
taskmill_apps = media:app
pythonpath = src
filterwarnings = error
"""

TESTS = """
import asyncio
import json
import time
from pathlib import Path

import httpx
import nats
import pytest

from media import resize
from taskmill.sdk.testing import run_task


def test_without_servers():
    assert asyncio.run(run_task(resize, 40)).result == 80


@pytest.mark.parametrize("width", [1, 2])
def test_with_servers(taskmill_stack, width):
    pids = {it["name"]: it["pid"] for it in json.loads((taskmill_stack.log_dir.parent / "stack.json").read_text())}
    told = {"url": taskmill_stack.url, "nats_url": taskmill_stack.nats_url, "pids": pids}
    Path("told.json").write_text(json.dumps(told | {"directory": str(taskmill_stack.log_dir.parent)}))
    with httpx.Client(base_url=taskmill_stack.url, trust_env=False, timeout=40) as client:
        assert [it["kind"] for it in client.get("/tasks").json()["items"]] == ["resize"] * (width - 1)
        body = {"title": "t", "kind": "resize", "payload": width, "process": True}
        task = client.post("/tasks", json=body, params={"wait": 30}).json()
    assert (task["status"], task["result"]) == ("completed", width * 2)


async def connect(url):
    connection = await nats.connect(url)
    await connection.close()


def test_its_nats(taskmill_stack):
    asyncio.run(connect(taskmill_stack.nats_url))
"""

HANGING_TEST = """
import json
import signal
from pathlib import Path


def test_hangs(taskmill_stack):
    directory = taskmill_stack.log_dir.parent
    pids = {it["name"]: it["pid"] for it in json.loads((directory / "stack.json").read_text())}
    Path("told.tmp").write_text(json.dumps({"pids": pids, "directory": str(directory)}))
    Path("told.tmp").rename("told.json")
    signal.pause()
"""

OF_THE_PAGE = """
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from pages import page_length
from taskmill.sdk.testing import run_task


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"x" * 1234)

    def log_message(self, *_):
        pass


async def test_a_page_is_measured():
    server = HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    outcome = await run_task(page_length, f"http://127.0.0.1:{server.server_port}/")
    server.shutdown()
    server.server_close()
    assert outcome.result == 1234
    assert [line.text for line in outcome.lines] == ["done"]


def test_tell(taskmill_stack):
    pids = {it["name"]: it["pid"] for it in json.loads((taskmill_stack.log_dir.parent / "stack.json").read_text())}
    told = {"url": taskmill_stack.url, "nats_url": taskmill_stack.nats_url, "pids": pids}
    Path("told.json").write_text(json.dumps(told | {"directory": str(taskmill_stack.log_dir.parent)}))
"""

OVERRIDES = """
import pytest


@pytest.fixture(scope="session")
def taskmill_apps():
    return ["media:app", "nowhere:app"]
"""


def user_project(directory: Path, tests: str, **files: str) -> Path:
    """A user's project."""
    (directory / "src").mkdir(parents=True)
    (directory / "src" / "media.py").write_text(HANDLERS)
    (directory / "pytest.ini").write_text(SETTINGS)
    (directory / "test_media.py").write_text(tests)
    for name, text in files.items():
        (directory / f"{name}.py").write_text(text)
    return directory


def project_of_the_page(directory: Path) -> Path:
    """The project that docs/handlers.md has its readers make: all of its Python, and its settings."""
    directory.mkdir()
    page = files("docs/handlers.md")
    assert list(page.values()) == blocks("docs/handlers.md", "python")
    [settings] = blocks("docs/handlers.md", "toml")
    for name, text in {**page, "pyproject.toml": settings, "test_of_the_page.py": OF_THE_PAGE}.items():
        (directory / name).write_text(text)
    return directory


@asynccontextmanager
async def running_pytest(project: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Have pytest run a project; in the end it has ended."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
        cwd=project,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(30):
                await process.communicate()


async def run_pytest(project: Path) -> tuple[int | None, str]:
    """Run the tests of a project; return the exit status, and what was printed."""
    async with running_pytest(project) as process, asyncio.timeout(100):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


def told_by(project: Path) -> dict[str, Any]:
    """What the tests of a project wrote down of their stack."""
    told: dict[str, Any] = json.loads((project / "told.json").read_text())
    return told


async def test_two_projects_side_by_side(tmp_path: Path) -> None:
    """Each has servers of its own for all of its tests, and leaves nothing behind. One is that of docs/handlers.md."""
    projects = [user_project(tmp_path / "one", TESTS), project_of_the_page(tmp_path / "two")]
    for count, (status, output) in zip((4, 5), await asyncio.gather(*map(run_pytest, projects)), strict=True):
        assert (status, f"{count} passed" in output) == (0, True), output
    told = [told_by(project) for project in projects]
    for key in ("url", "nats_url", "directory"):
        assert told[0][key] != told[1][key], told
    for stack in told:
        assert set(stack["pids"]) >= {"nats-server", "postgres", "task-store", "processor-1", "gateway"}
        assert not [name for name, pid in stack["pids"].items() if is_alive(pid)]
        assert not await asyncio.to_thread(Path(stack["directory"]).exists)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing tells a process of the end of its parent")
async def test_it_ends_with_tests_that_are_killed(tmp_path: Path) -> None:
    """So no server is left of a session that was aborted."""
    project = user_project(tmp_path / "killed", HANGING_TEST)
    async with running_pytest(project) as process:
        await eventually((project / "told.json").exists, within_seconds=60)
        told = told_by(project)
        pids = told["pids"]
        assert all(map(is_alive, pids.values()))
        process.kill()
        await process.communicate()
    await eventually(lambda: not any(map(is_alive, pids.values())), within_seconds=20)
    shutil.rmtree(told["directory"])


async def test_apps_may_be_given_by_a_fixture(tmp_path: Path) -> None:
    """And what cannot be started is told with its reason."""
    status, output = await run_pytest(user_project(tmp_path / "bad", HANGING_TEST, conftest=OVERRIDES))
    assert status == 1
    assert "taskmill up did not start" in output
    assert "No app at 'nowhere:app'" in output
