"""Handlers with a process of their own are called there, and killed."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from taskmill.contracts.reports import (
    Cancelled,
    Checkpointed,
    Completed,
    Failed,
    GivenBack,
    Logged,
    Progressed,
    Submitted,
)
from tests.integration.processor.harness import processor_process, running_processor, store_side
from tests.support.eventually import eventually
from tests.support.own_process import app
from tests.support.processes import is_alive


async def test_it_is_called_in_another_process(nats_url: str) -> None:
    """With a typed payload, its dependencies and a context; what it says is told; and the process is used again."""
    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [first] = await store.dispatch("double", {"number": 3})
        result: Any = (await store.report_of(first, Completed)).result
        [second] = await store.dispatch("double", {"number": 4})
        again: Any = (await store.report_of(second, Completed)).result
        [line] = [line for report in store.of(first, Logged) for line in report.lines]
    assert (result["doubled"], result["halved"], result["attempt"]) == (6, 1.5, 1)
    assert line.text == f"at work pid={result['pid']}"
    assert (again["doubled"], again["pid"]) == (8, result["pid"])
    assert result["pid"] != os.getpid()


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_it_is_killed_with_all_that_it_started(nats_url: str, tmp_path: Path, is_cancelled: bool) -> None:
    """When a client cancels its task, and when its time is over, though it blocks signals."""
    file = tmp_path / "pids"
    async with store_side(nats_url) as store, running_processor(nats_url, app, slots=1):
        [item] = await store.dispatch("hang", {"file": str(file)}, timeout_seconds=None if is_cancelled else 1.5)
        await store.report_of(item, Progressed)
        pids = [int(pid) for pid in file.read_text().split()]
        assert [is_alive(pid) for pid in pids] == [True, True]
        if is_cancelled:
            store.cancel(item)
            await store.report_of(item, Cancelled)
        else:
            assert (await store.report_of(item, Failed)).error.code == "timeout"
        await eventually(lambda: not any(is_alive(pid) for pid in pids))
        # The slot is free again.
        [after] = await store.dispatch("double", {"number": 1})
        await store.report_of(after, Completed)


async def test_it_submits_tasks_and_leaves_checkpoints(nats_url: str) -> None:
    """What it says there is told here, in its order, and where to go on goes there with the work item."""
    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("split", {"number": 1}, checkpoint={"page": 1})
        end = await store.report_of(item, Completed)
        [submitted], [checkpointed] = store.of(item, Submitted), store.of(item, Checkpointed)
    result: Any = end.result
    assert result == {"before": {"page": 1}, "submitted": str(submitted.task.id)}
    assert (submitted.number, submitted.task.payload, end.submitted) == (1, {"part": 1}, 1)
    assert (checkpointed.checkpoint, checkpointed.submitted, end.checkpointed) == ({"page": 2}, 1, 1)


async def test_what_it_leaves_behind_speaks_for_no_other_task(nats_url: str, tmp_path: Path) -> None:
    """A thread goes on in the process, which serves the next task by then."""
    order: Any = {"file": str(tmp_path / "spoken")}
    async with store_side(nats_url) as store, running_processor(nats_url, app, slots=1):
        [first] = await store.dispatch("leave-behind", order)
        await store.report_of(first, Completed)
        [second] = await store.dispatch("wait-for-thread", order)
        assert (await store.report_of(second, Completed)).submitted == 0
        assert (store.of(second, Submitted), store.of(second, Logged)) == ([], [])


async def test_it_can_ask_for_more_time(nats_url: str) -> None:
    """The deadline moves here and there."""
    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("extend", {}, timeout_seconds=30)
        assert (await store.report_of(item, Completed)).result is True


@pytest.mark.parametrize(
    ("number", "code", "message", "is_final", "has_traceback"),
    [
        (0, "process_died", "The process of the handler ended with signal 9.", False, False),
        (2, "quota_exceeded", "Too much.", False, False),
        (3, "handler_error", "No such size.", True, True),
        (4, "handler_error", "3", False, True),
        (5, "process_died", "The process of the handler ended with exit status 3.", False, False),
        (6, "handler_error", "no", False, True),
        ("x", "invalid_payload", "The payload does not fit.", True, False),
    ],
)
async def test_however_it_ends_is_told(
    nats_url: str, number: Any, code: str, message: str, is_final: bool, has_traceback: bool
) -> None:
    """As from any handler; and that its process died is a failure, not a crash of the processor."""
    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("end", {"number": number})
        failed = await store.report_of(item, Failed)
    assert (failed.error.code, failed.is_final, failed.traceback is not None) == (code, is_final, has_traceback)
    assert failed.error.message.startswith(message)


async def test_it_can_put_its_task_off(nats_url: str) -> None:
    """`NotNow` gets through."""
    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("end", {"number": 1})
        given_back = await store.report_of(item, GivenBack)
    assert (given_back.reason, given_back.after_seconds) == ("not_now", 7)


async def test_a_result_that_cannot_be_kept_is_refused(nats_url: str) -> None:
    """Where it arises."""
    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("bad-result", {})
        assert (await store.report_of(item, Failed)).error.code == "bad_result"


async def test_its_process_ends_with_the_processor(nats_url: str, tmp_path: Path) -> None:
    """Also one in the middle of a call that cannot be interrupted."""
    file = tmp_path / "pids"
    async with store_side(nats_url) as store:
        async with running_processor(nats_url, app, grace_seconds=0):
            [item] = await store.dispatch("hang", {"file": str(file)})
            await store.report_of(item, Progressed)
        [pid, _] = [int(pid) for pid in file.read_text().split()]
        await store.report_of(item, GivenBack)
    await asyncio.wait_for(eventually(lambda: not is_alive(pid)), 10)


@pytest.mark.parametrize("kind", ["hang", "spin"])
async def test_a_killed_processor_leaves_nothing_running(nats_url: str, tmp_path: Path, kind: str) -> None:
    """Neither the process, though it computes without an end, nor what it started."""
    file = tmp_path / "pids"
    async with (
        store_side(nats_url) as store,
        processor_process(nats_url, tmp_path, "--app", "tests.support.own_process:app") as processor,
    ):
        [item] = await store.dispatch(kind, {"file": str(file)})
        await store.report_of(item, Progressed)
        pids = [int(pid) for pid in file.read_text().split()]
        processor.send_signal(signal.SIGKILL)
        await eventually(lambda: not any(is_alive(pid) for pid in pids))


@pytest.mark.parametrize("has_left", [False, True])
async def test_a_process_that_dies_is_not_held_up_by_what_it_forked(
    nats_url: str, tmp_path: Path, has_left: bool
) -> None:
    """Which goes with it, unless it has left the group: that one is left alone."""
    file = tmp_path / "pids"
    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("fork", {"file": str(file), "number": int(has_left)})
        await store.report_of(item, Progressed)
        [_, forked] = [int(pid) for pid in file.read_text().split()]
        try:
            failed = await store.report_of(item, Failed)
            assert failed.error.message == "The process of the handler ended with signal 9."
            if not has_left:
                await eventually(lambda: not is_alive(forked))
            assert is_alive(forked) is has_left
        finally:
            if has_left:
                os.kill(forked, signal.SIGKILL)


async def test_files_of_the_working_directory_stand_for_no_library(
    nats_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One may be called as a module that the process needs before it looks for handlers."""
    (tmp_path / "queue.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("double", {"number": 3})
        await store.report_of(item, Completed)
