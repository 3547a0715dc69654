"""Programs at work in a processor end with it, however it ends."""

import signal
from pathlib import Path

import pytest

from taskmill.contracts.reports import Cancelled, Completed, Failed, GivenBack, Logged, Progressed
from taskmill.contracts.work import WorkItem
from taskmill.sdk import TaskApp
from taskmill.sdk.program import Program
from tests.integration.processor.harness import StoreSide, processor_process, running_processor, store_side
from tests.support.eventually import eventually
from tests.support.processes import is_alive

HANGING = "cat >/dev/null; sh -c 'echo taskmill: progress 0.1 $$ >&2; exec sleep 100'; :"
"""Has a child tell its pid, and hang."""

WORKER = f"""
from taskmill.sdk import TaskApp
from taskmill.sdk.program import Program

app = TaskApp("programs")
app.task("hang")(Program(["/bin/sh", "-c", {HANGING!r}]))
"""


def programs(script: str = HANGING) -> TaskApp:
    """An app with a kind whose work is done by the shell."""
    app = TaskApp("programs")
    app.task("script")(Program(["/bin/sh", "-c", script]))
    return app


async def child_of(store: StoreSide, item: WorkItem) -> int:
    """Wait for the pid of the child that hangs."""
    progress = (await store.report_of(item, Progressed)).progress
    assert progress.message is not None
    assert is_alive(int(progress.message))
    return int(progress.message)


async def test_what_it_says_and_prints_is_told(nats_url: str) -> None:
    """From stdin to the result, with its lines."""
    app = programs("echo 'taskmill: log error no paper' >&2; echo got >&2; cat")
    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("script", {"width": 80})
        assert (await store.report_of(item, Completed)).result == {"width": 80}
        lines = [(line.level, line.text) for report in store.of(item, Logged) for line in report.lines]
    assert lines == [("error", "no paper"), ("info", "got")]


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_it_is_ended_with_its_attempt(nats_url: str, is_cancelled: bool) -> None:
    """When a client cancels the task, and when its time is over."""
    async with store_side(nats_url) as store, running_processor(nats_url, programs(), slots=1):
        [item] = await store.dispatch("script", timeout_seconds=None if is_cancelled else 1.5)
        child = await child_of(store, item)
        if is_cancelled:
            store.cancel(item)
            await store.report_of(item, Cancelled)
        else:
            assert (await store.report_of(item, Failed)).error.code == "timeout"
        await eventually(lambda: not is_alive(child))


async def test_a_drain_ends_it_and_gives_its_task_back(nats_url: str) -> None:
    """After the grace of the handlers."""
    async with store_side(nats_url) as store:
        async with running_processor(nats_url, programs(), grace_seconds=0):
            [item] = await store.dispatch("script")
            child = await child_of(store, item)
        assert (await store.report_of(item, GivenBack)).reason == "draining"
        assert not is_alive(child)


async def test_a_killed_processor_leaves_nothing_running(nats_url: str, tmp_path: Path) -> None:
    """Its programs and their children are killed: another processor will do the work."""
    (tmp_path / "worker.py").write_text(WORKER)
    async with (
        store_side(nats_url) as store,
        processor_process(nats_url, tmp_path, "--app", "worker:app") as processor,
    ):
        [item] = await store.dispatch("hang")
        child = await child_of(store, item)
        processor.send_signal(signal.SIGKILL)
        await eventually(lambda: not is_alive(child))
