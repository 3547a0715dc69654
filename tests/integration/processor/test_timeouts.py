"""An attempt whose time is over fails with `timeout`, whatever its handler does."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from taskmill.contracts.reports import Completed, Failed, Started
from taskmill.processor.actors.heartbeats import EXIT_STUCK
from taskmill.sdk import Context, TaskApp
from tests.integration.processor.harness import processor_process, running_processor, store_side


async def test_an_async_handler_is_stopped(nats_url: str) -> None:
    """It is cancelled where it waits, which the traceback shows; another attempt may follow, and its slot is free."""
    async with store_side(nats_url) as store, running_processor(nats_url, slots=1):
        [item] = await store.dispatch("sleep", {"seconds": 3_600, "steps": 1}, timeout_seconds=0.3)
        report = await store.report_of(item, Failed, within_seconds=2)
        await store.all_acknowledged()
        [next_item] = await store.dispatch("echo", timeout_seconds=0.3)
        await store.report_of(next_item, Completed)
    assert (report.error.code, report.error.message) == ("timeout", "The handler did not end within 0.3 s.")
    assert not report.is_final
    assert report.traceback is not None
    assert "asyncio.sleep" in report.traceback
    assert report.finished_at - report.started_at >= timedelta(seconds=0.3)


@pytest.mark.parametrize("error", [None, ValueError("too late")])
async def test_what_comes_after_the_time_is_void(nats_url: str, error: Exception | None) -> None:
    """A handler that returns, or raises something else, when it is stopped has timed out all the same."""
    app = TaskApp("late")

    @app.task("late")
    async def late(_payload: Any, _context: Context) -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        if error is not None:
            raise error
        return "too late"

    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("late", timeout_seconds=0.1)
        report = await store.report_of(item, Failed)
    assert report.error.code == "timeout"


async def test_a_handler_that_ignores_its_cancellation_is_given_up(nats_url: str) -> None:
    """Soon after its time it has failed; it keeps its slot until it ends, and what it returns is dropped."""
    app = TaskApp("stubborn")
    may_end = asyncio.Event()

    @app.task("stubborn")
    async def stubborn(_payload: Any, _context: Context) -> str:
        with suppress(asyncio.CancelledError):
            await may_end.wait()
        await may_end.wait()
        return "too late"

    async with store_side(nats_url) as store, running_processor(nats_url, app, slots=1):
        [item] = await store.dispatch("stubborn", timeout_seconds=0.1)
        report = await store.report_of(item, Failed, within_seconds=5)
        await store.all_acknowledged()
        [next_item] = await store.dispatch("echo")
        assert await store.work_left() == 1
        may_end.set()
        await store.report_of(next_item, Completed)
    assert report.error.code == "timeout"
    assert store.types_of(item) == ["started", "failed"]


async def test_a_handler_that_holds_the_event_loop_ends_its_process(nats_url: str, tmp_path: Path) -> None:
    """Nothing can stop it beyond its time, so the process ends; its work and its neighbours' goes to the next."""
    (tmp_path / "endless.py").write_text(
        "import time\nfrom taskmill.sdk import TaskApp\n\napp = TaskApp('endless')\n\n\n"
        "@app.task('hold')\nasync def hold(payload, context):\n    time.sleep(600)\n"
    )
    async with store_side(nats_url, ack_wait_seconds=1) as store:
        [neighbour] = await store.dispatch("sleep", {"seconds": 0.8, "steps": 1})
        async with processor_process(
            nats_url, tmp_path, "--app", "endless:app", TASKMILL_WORK_ACK_WAIT_SECONDS="1"
        ) as process:
            await store.report_of(neighbour, Started)
            await store.dispatch("hold", timeout_seconds=0.3)
            assert await asyncio.wait_for(process.wait(), 20) == EXIT_STUCK
        async with running_processor(nats_url, work_ack_wait_seconds=1):
            report = await store.report_of(neighbour, Completed)
            await store.all_acknowledged()
    assert report.delivery == 2


async def test_a_handler_knows_its_limits(nats_url: str) -> None:
    """It can see when its time is over, and whether another attempt may follow."""
    app = TaskApp("knowing")

    @app.task("know")
    async def know(_payload: Any, context: Context) -> Any:
        return [context.attempt, context.attempt_limit, context.deadline]

    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [limited] = await store.dispatch("know", attempt_limit=3, timeout_seconds=60)
        [unlimited] = await store.dispatch("know")
        report = await store.report_of(limited, Completed)
        assert (await store.report_of(unlimited, Completed)).result == [1, 1, None]
    assert store.of(limited, Started) == []
    assert isinstance(report.result, list)
    assert report.result[:2] == [1, 3]
    remaining = datetime.fromisoformat(str(report.result[2])) - report.started_at
    assert timedelta(seconds=60) <= remaining < timedelta(seconds=61)
