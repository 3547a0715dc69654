"""`taskmill up`, from the first start to a crash of each of its processes."""

import asyncio
import os
import shlex
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from benchmarks.machine import server_directory
from taskmill.cli.known_stacks import data_dir_of_stack
from taskmill.sdk.subscribing import Subscriber, SubscriberSettings
from tests.support.admission import is_let_in
from tests.support.completed import completed_task
from tests.support.eventually import eventually, holds
from tests.support.processes import is_alive
from tests.support.stack import IS_SCALED, SHOWN_LINES, TaskmillUp


def names(stack: TaskmillUp) -> list[str]:
    """What stack.json lists, in its order."""
    return [
        *("nats-server", "postgres", "task-store"),
        *(f"task-store-{number}" for number in range(2, stack.stores + 1)),
        *(f"processor-{number}" for number in range(1, stack.processors + 1)),
        "gateway",
        *(f"gateway-{number}" for number in range(2, stack.gateways + 1)),
    ]


# One stack for the module: a test that ends it leaves its data to the next one, which starts it again.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def any_stack() -> AsyncIterator[TaskmillUp]:
    """The stack of all tests here, which may run or not."""
    with server_directory() as path:
        stack = TaskmillUp(path / "data", processors=2, environment={"TASKMILL_RECONCILE_INTERVAL_SECONDS": "1"})
        yield stack
        await stack.end()


@pytest_asyncio.fixture(loop_scope="module")
async def stack(any_stack: TaskmillUp) -> TaskmillUp:
    """The stack, ready."""
    if not any_stack.is_running:
        await any_stack.start()
    return any_stack


@pytest_asyncio.fixture(loop_scope="module")
async def idle_stack(any_stack: TaskmillUp) -> TaskmillUp:
    """The stack, not running."""
    await any_stack.end()
    return any_stack


async def run_task(stack: TaskmillUp) -> dict[str, Any]:
    """Post a task and return it when it is completed, whatever is restarted meanwhile."""
    body = {"title": "Echo", "kind": "echo", "payload": {"n": 1}, "process": True}
    async with httpx.AsyncClient(base_url=stack.url) as client:

        async def accepted() -> str:
            try:
                answer = await client.post("/tasks", json=body)
            except httpx.TransportError as error:
                raise AssertionError("no answer") from error
            assert answer.status_code == httpx.codes.CREATED
            return str(answer.json()["id"])

        return await completed(stack, await eventually(accepted, within_seconds=20))


async def completed(stack: TaskmillUp, task_id: str) -> dict[str, Any]:
    """Return a task once it is completed, whatever is restarted meanwhile."""
    async with httpx.AsyncClient(base_url=stack.url) as client:

        async def task() -> dict[str, Any]:
            try:
                return await completed_task(client, task_id, within_seconds=45)
            except httpx.TransportError as error:
                raise AssertionError("no answer") from error

        return await holds(task, within_seconds=45)


async def test_what_it_prints_works_when_pasted(stack: TaskmillUp) -> None:
    """The curl line creates a task, which is then done in the background."""
    [line] = [line.strip() for line in stack.output if line.strip().startswith("curl ")]
    assert stack.output[0] == f"taskmill ready at {stack.first_gateway}"
    _, _, url, _, content_type, _, body = shlex.split(line)
    name, value = content_type.split(": ")
    async with httpx.AsyncClient() as client:
        answer = await client.post(url, headers={name: value}, content=body)
    assert answer.status_code == httpx.codes.CREATED
    assert (await completed(stack, answer.json()["id"]))["result"] == {"hello": "world"}


async def test_stack_json_names_every_process(stack: TaskmillUp) -> None:
    """Each of them runs, and those that listen have their URL."""
    entries = stack.entries()
    assert list(entries) == names(stack)
    assert [name for name, entry in entries.items() if not is_alive(entry["pid"])] == []
    assert (entries["nats-server"]["url"] or "").startswith("nats://127.0.0.1:")
    assert (entries["postgres"]["url"] or "").startswith("postgresql://taskmill@127.0.0.1:")
    silent = [name for name in names(stack) if name.startswith(("task-store", "processor"))]
    assert [name for name, entry in entries.items() if entry["url"] is None] == silent
    assert entries["gateway"]["url"] == stack.first_gateway


async def test_any_folder_finds_it_by_its_gateway(stack: TaskmillUp) -> None:
    """So a processor that is run by hand elsewhere joins its NATS."""
    assert data_dir_of_stack(stack.port) == stack.data_dir.resolve()


async def test_a_drill_loses_the_broker_and_no_task(stack: TaskmillUp) -> None:
    """JetStream is deleted with more work under way than there are slots; every task is completed, and it says so."""
    old_pid = stack.entries()["nats-server"]["pid"]
    status, output = await stack.run_beside("drill", "broker-loss", "--yes", "--tasks", "800")
    assert status == 0, output
    assert "accepted 800, ended 800 (800 completed), lost 0" in output
    assert stack.entries()["nats-server"]["pid"] != old_pid


async def test_a_second_launcher_on_the_same_data_is_refused(stack: TaskmillUp) -> None:
    """It says who holds the directory, and the first one goes on."""
    second = TaskmillUp(stack.data_dir)
    await second.launch()
    assert await second.wait() == 1
    assert "already runs on" in second.output[0]
    await run_task(stack)


async def test_whatever_crashes_is_started_again(stack: TaskmillUp) -> None:
    """After SIGKILL of each process in turn, stack.json has its new pid and a task is done as before."""
    for name in names(stack):
        old_pid = stack.entries()[name]["pid"]
        os.kill(old_pid, signal.SIGKILL)

        def is_restarted(name: str = name, old_pid: int = old_pid) -> bool:
            return stack.entries().get(name, {"pid": old_pid})["pid"] != old_pid

        await eventually(is_restarted)
        assert [line for line in stack.output if line.startswith(f"{name} was ended by SIGKILL")], stack.output[
            -SHOWN_LINES:
        ]
        await run_task(stack)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_everything_in_good_order(stack: TaskmillUp, number: signal.Signals) -> None:
    """With a task at work it ends with status 0 within 10 s, and the next start soon has the tasks."""
    task_id = (await run_task(stack))["id"]
    async with httpx.AsyncClient(base_url=stack.url) as client:
        body = {"title": "Sleep", "kind": "sleep", "payload": {"seconds": 600}, "process": True}
        sleeper = (await client.post("/tasks", json=body)).json()["id"]

        async def sleeps() -> bool:
            return bool((await client.get(f"/tasks/{sleeper}")).json()["status"] == "in_progress")

        await eventually(sleeps)
    pids = [entry["pid"] for entry in stack.entries().values()]

    assert await stack.end(number, within_seconds=10) == 0
    assert [pid for pid in pids if is_alive(pid)] == []
    assert not stack.data_dir.joinpath("stack.json").exists()
    assert stack.output[-1].startswith("stopping")

    # 3 s on two idle cores; the rest is for a machine that has other things to do, or more to start.
    await stack.start(within_seconds=40 if IS_SCALED else 15)
    await completed(stack, task_id)


async def test_a_killed_launcher_leaves_nothing_in_the_way(stack: TaskmillUp) -> None:
    """After SIGKILL the same directory and port serve again at once, with every task."""
    task_id = (await run_task(stack))["id"]
    pids = [entry["pid"] for entry in stack.entries().values()]
    await stack.end(signal.SIGKILL)
    await stack.start()
    assert [pid for pid in pids if is_alive(pid)] == []
    await completed(stack, task_id)
    await run_task(stack)


async def test_children_that_outlive_a_killed_launcher_are_ended_by_the_next(
    idle_stack: TaskmillUp, tmp_path: Path
) -> None:
    """So it is where the system does not end them by itself: here, on a PATH without setpriv."""
    for program in ("unshare", "true"):
        tmp_path.joinpath(program).symlink_to(shutil.which(program) or "/nowhere")
    idle_stack.environment["PATH"] = str(tmp_path)
    await idle_stack.start()
    pids = [entry["pid"] for entry in idle_stack.entries().values()]
    await idle_stack.end(signal.SIGKILL)
    assert [pid for pid in pids if not is_alive(pid)] == []
    del idle_stack.environment["PATH"]
    await idle_stack.start()
    assert [pid for pid in pids if is_alive(pid)] == []
    await run_task(idle_stack)


async def test_a_second_signal_ends_it_at_once(stack: TaskmillUp) -> None:
    """Who presses Ctrl-C twice does not wait for the drain, and nothing is left behind."""
    pids = [entry["pid"] for entry in stack.entries().values()]
    # A stopped processor makes the drain last.
    os.kill(stack.entries()["processor-1"]["pid"], signal.SIGSTOP)
    waiting = asyncio.create_task(stack.end(signal.SIGINT))
    await eventually(lambda: stack.output[-1].startswith("stopping"))
    assert await stack.end(signal.SIGINT, within_seconds=1) == 128 + signal.SIGINT
    await waiting
    await eventually(lambda: [pid for pid in pids if is_alive(pid)] == [])


async def test_it_goes_on_and_stops_when_nobody_reads_what_it_says(idle_stack: TaskmillUp) -> None:
    """Ctrl-C ends a `tee` behind it, too: a line that cannot be written neither stops it nor keeps it from stopping."""
    command = idle_stack.command
    idle_stack.command = ("bash", "-c", 'exec "$@" > >(head -n 1) 2>&1', "bash", *command)
    try:
        await idle_stack.start()
        await idle_stack.kill("processor-1")
        await run_task(idle_stack)
        pids = [entry["pid"] for entry in idle_stack.entries().values()]
        assert await idle_stack.end(signal.SIGINT, within_seconds=10) == 0
    finally:
        idle_stack.command = command
    assert [pid for pid in pids if is_alive(pid)] == []
    assert not idle_stack.data_dir.joinpath("stack.json").exists()


async def test_a_taken_port_is_refused_by_name(idle_stack: TaskmillUp) -> None:
    """The gateway's port is the user's choice: it does not move on by itself."""
    with socket.create_server(("127.0.0.1", idle_stack.port)):
        await idle_stack.launch()
        assert await idle_stack.wait() == 1
    assert f"cannot listen on 127.0.0.1 port {idle_stack.port}" in idle_stack.output[0]
    assert "TASKMILL_PORT" in idle_stack.output[0]


async def test_more_of_each_are_found(idle_stack: TaskmillUp) -> None:
    """A second gateway has a port of its own, which is told; both, and each of two stores, do what is asked."""
    stack = TaskmillUp(idle_stack.data_dir, processors=2, stores=2, gateways=2)
    # The next port is taken.
    with socket.create_server(("127.0.0.1", stack.port + 1)):
        await stack.start()
    entries = stack.entries()
    assert list(entries) == names(stack)
    url = str(entries["gateway-2"]["url"])
    assert stack.output[:3] == [f"taskmill ready at {stack.first_gateway}", f"{'and at':>20} {url}", ""]
    assert (port := httpx.URL(url).port or 0) > stack.port + 1
    assert data_dir_of_stack(port) == stack.data_dir.resolve()
    for killed in ("gateway", "task-store"):
        await stack.kill(killed)
        await run_task(stack)
    assert await stack.end() == 0
    assert data_dir_of_stack(port) is None


async def test_with_a_password_nats_asks_who_is_there(idle_stack: TaskmillUp) -> None:
    """The services know theirs; nobody gets in without one, and nobody else is told of it."""
    passwords = {"TASKMILL_NATS_PASSWORD": "secret-1", "TASKMILL_NATS_READER_PASSWORD": "secret-2"}
    idle_stack.environment.update(passwords)
    try:
        await idle_stack.start()
        await run_task(idle_stack)
        output = "\n".join(idle_stack.output)
        assert "as the user `reader` with the password TASKMILL_NATS_READER_PASSWORD" in output
        assert "secret" not in output
        assert (idle_stack.data_dir / "stack.json").stat().st_mode & 0o077 == 0
        url = idle_stack.entries()["nats-server"]["url"] or ""
        settings = SubscriberSettings(nats_url=url.replace("taskmill:secret-1", "reader:secret-2"))
        async with Subscriber(settings) as subscriber, aclosing(subscriber.events(after=0)) as events:
            assert (await anext(events)).version == 1
        assert not await is_let_in(url.replace("taskmill:secret-1@", ""))
    finally:
        await idle_stack.end()
        for name in passwords:
            del idle_stack.environment[name]
