"""The commands of the documentation, pasted page by page, from top to bottom.

Of the blocks those marked `sh` are pasted, and those of Python that begin with the name of their file are saved before.
Those marked `console` are not pasted: they start the stack, or need Docker, or programs that users install.
"""

import asyncio
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import mkdtemp

import httpx
import pytest
import pytest_asyncio

from benchmarks.machine import server_directory
from taskmill.cli.embedded.ports import free_port
from tests.support.eventually import eventually, holds
from tests.support.pages import blocks, files
from tests.support.stack import TaskmillUp

# One stack for the module.
pytestmark = pytest.mark.asyncio(loop_scope="module")

OWN_TERMINAL = "# in a terminal of its own\n"
"""Begins a block whose command goes on until Ctrl-C."""

_CURL = """\
#!/bin/bash
# curl, but a stream ends after a second; it writes down how each request was answered.
[[ " $* " == *" -sN "* ]] && limit="--max-time 1"
exec {curl} $limit -w '%{{stderr}}%{{http_code}} %{{url_effective}}\\n' "$@" 2>>{answers}
"""


class Shell:
    """A terminal.

    Attributes:
        output: All that was printed.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.output = ""

    def begin(self, commands: str) -> None:
        """Run commands, without waiting for their end."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{commands}\n".encode())

    async def paste(self, commands: str, *, within_seconds: float = 60) -> None:
        """Run commands, to the end of the last one; a variable that is not set ends the shell."""
        assert self._process.stdout is not None
        self.begin(f"{commands}\necho '(done)'")
        async with asyncio.timeout(within_seconds):
            try:
                self.output += (await self._process.stdout.readuntil(b"(done)\n")).decode()
            except asyncio.IncompleteReadError as error:
                raise AssertionError(f"{commands}\nended with: {error.partial.decode()}") from None


@asynccontextmanager
async def shell(folder: Path, environment: dict[str, str]) -> AsyncIterator[Shell]:
    """Open a terminal, whose `curl` writes down what was answered, into `answers`."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    curl = shutil.which("curl")
    assert curl is not None, "curl is not installed"
    (programs / "curl").write_text(_CURL.format(curl=curl, answers=folder / "answers"))
    (programs / "curl").chmod(0o755)
    process = await asyncio.create_subprocess_exec(
        *("bash", "-u"),
        cwd=folder,
        env={**os.environ, **environment, "PATH": f"{programs}:{sys.prefix}/bin:{os.environ['PATH']}"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=2**22,
        start_new_session=True,
    )
    try:
        yield Shell(process)
    finally:
        # With what it left in the background.
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[TaskmillUp]:
    """A stack as the pages want it, ready."""
    with server_directory() as path:
        stack = TaskmillUp(path / "data", environment={"TASKMILL_HTTP_ALLOW_PRIVATE": "true"})
        try:
            await stack.start()
            yield stack
        finally:
            await stack.end()


async def paste_page(page: str, stack: TaskmillUp, folder: Path) -> str:
    """Paste all commands of a page; return what they printed. Each request has to be answered without an error."""
    (folder / ".venv").symlink_to(sys.prefix)
    for name, text in files(page).items():
        (folder / name).write_text(text)
    receiver_port = str(free_port())
    environment = {"TASKMILL_URL": stack.url, "TASKMILL_NATS_URL": str(stack.entries()["nats-server"]["url"])}
    async with AsyncExitStack() as opened:
        client = await opened.enter_async_context(httpx.AsyncClient(base_url=stack.url, trust_env=False))
        terminal = await opened.enter_async_context(shell(folder, environment))
        pasted = blocks(page, "sh")
        for block in pasted:
            if block.startswith(OWN_TERMINAL):
                (await opened.enter_async_context(shell(folder, environment))).begin(block)
                continue
            await wait_as_a_reader(block, client)
            commands = block.replace("http://127.0.0.1:8000", stack.url)
            await terminal.paste(re.sub(r"\b9000\b", receiver_port, commands))
        answers = (folder / "answers").read_text().splitlines()
        assert len(answers) >= sum("curl" in block for block in pasted)
        assert [answer for answer in answers if not re.match("[23]", answer)] == []
        return terminal.output


async def wait_as_a_reader(block: str, client: httpx.AsyncClient) -> None:
    """Wait for what a reader waits for before pasting a block: deliveries, the first one and that of the replay."""
    wanted = 1 if "/deliveries" in block else 2 if "DELETE" in block and "$ID" in block else 0

    async def are_delivered() -> bool:
        answer = await client.get("/tasks", params={"kind": "webhook-delivery", "status": "completed"})
        return len(answer.json()["items"]) >= wanted

    await eventually(are_delivered, within_seconds=30)


async def test_the_commands_of_the_guarantees_work(stack: TaskmillUp, tmp_path: Path) -> None:
    """Every variable is set before it is used, and means what the text says."""
    await paste_page("docs/guarantees.md", stack, tmp_path)


async def test_groups_have_their_outcome(stack: TaskmillUp, tmp_path: Path) -> None:
    """What comes after others is completed behind them, and so is what is processed for the group."""
    output = await paste_page("docs/groups.md", stack, tmp_path)
    assert '"reason": "dependencies"' in output
    assert '"title": "Put it together",\n  "status": "completed"' in output


async def test_schedules_have_their_tasks_made(stack: TaskmillUp, tmp_path: Path) -> None:
    """At once, and for the five working days of a span."""
    output = await paste_page("docs/schedules.md", stack, tmp_path)
    assert '"timing": "At 03:00 on Monday through Friday, Europe/Berlin"' in output
    assert '"status": "completed",\n  "result": {\n    "of": "yesterday"\n  }' in output
    assert '{"created":5,"existing":0}' in output


async def test_limits_hold(stack: TaskmillUp, tmp_path: Path) -> None:
    """A task says which one it waits for; every limit that the page sets is gone in the end."""

    async def check_waits() -> str:
        output = await paste_page("docs/limits.md", stack, Path(mkdtemp(dir=tmp_path)))
        assert '{"status":"scheduled","waiting_for":{"reason":"limit","until":null,"limit":"one-by-one"}}' in output
        return output

    # Where there is another store, that one knows a limit a second later.
    output = await holds(check_waits, within_seconds=60)
    assert '"max_in_progress":5,"rate":{"tasks":100,"seconds":60' in output
    assert "taskmill: " not in output
    async with httpx.AsyncClient(base_url=stack.url, trust_env=False) as client:
        assert (await client.get("/limits")).json()["items"] == []


async def test_a_key_is_held_until_its_task_has_ended(stack: TaskmillUp, tmp_path: Path) -> None:
    """Until then the same task is the answer; then there is another one."""
    output = await paste_page("docs/unique-tasks.md", stack, tmp_path)
    assert '"title": "Send the invoice"\n}' in output
    assert '{"title":"Send the invoice","status":"cancelled"}' in output
    assert re.search(r'^\{"title":"Send it again","status":"(queued|in_progress|completed)"\}$', output, re.MULTILINE)


async def test_the_readme_works(stack: TaskmillUp, tmp_path: Path) -> None:
    """Its commands do, and its programs: each is run by a command, and answers what stands behind it."""
    commands = "".join(blocks("README.md", "sh"))
    assert list(files("README.md").values()) == blocks("README.md", "python")
    assert [name for name in files("README.md") if not re.search(rf"\b{name[:-3]}(\.py|:app)", commands)] == []
    output = await paste_page("README.md", stack, tmp_path)
    [ask] = [block for block in blocks("README.md", "sh") if "ask.py" in block]
    assert ask.partition("# ")[2] in output


async def test_streams_show_something(stack: TaskmillUp, tmp_path: Path) -> None:
    """Both streams of the page have the task that was made for them, to its end; so have its pages."""
    output = await paste_page("docs/watching.md", stack, tmp_path)
    assert output.count("event: completed\n") >= 2
    assert '"items":[{"position":1,' in output


async def test_the_receiver_of_webhooks_gets_what_is_sent(stack: TaskmillUp, tmp_path: Path) -> None:
    """It takes the event, once though it was delivered twice, and then the replay."""
    output = await paste_page("docs/webhooks.md", stack, tmp_path)
    # It may print in the middle of a line of the commands.
    assert len(re.findall(r"taskmill\.task\.completed\.v1 \S+ new\n", output)) == 1
    assert re.search(r"taskmill\.task\.completed\.v1 \S+ replayed\n", output)
    assert "refused:" not in output
