"""What is held stays held, and what is held no longer goes to another."""

import asyncio
import time
from pathlib import Path
from typing import Any

from taskmill.contracts.reports import Completed, Heartbeat, Started
from taskmill.sdk import Context, TaskApp
from tests.integration.processor.harness import processor_process, running_processor, store_side


async def test_a_long_task_is_kept_beyond_the_ack_wait(nats_url: str) -> None:
    """A handler that runs for three ack waits is executed once, and its lease is renewed at the store."""
    async with store_side(nats_url, ack_wait_seconds=1) as store, running_processor(nats_url, work_ack_wait_seconds=1):
        [item] = await store.dispatch("sleep", {"seconds": 3, "steps": 1})
        report = await store.report_of(item, Completed)
        await store.all_acknowledged()
    assert report.delivery == 1
    assert len(store.of(item, Started)) == 1
    assert len(store.of(item, Heartbeat)) >= 5
    assert {heartbeat.delivery for heartbeat in store.of(item, Heartbeat)} == {1}


async def test_a_handler_that_blocks_the_loop_keeps_its_lease(nats_url: str) -> None:
    """Heartbeats go on while an async handler holds up everything else in its process."""
    app = TaskApp("blocking")
    may_block = asyncio.Event()

    @app.task("block")
    async def block(_payload: Any, _context: Context) -> None:
        await may_block.wait()
        time.sleep(2.5)  # noqa: ASYNC251 -- the very fault that is to be survived

    async with (
        store_side(nats_url, ack_wait_seconds=1) as store,
        running_processor(nats_url, app, work_ack_wait_seconds=1),
    ):
        [item] = await store.dispatch("block")
        await store.report_of(item, Started)
        may_block.set()
        report = await store.report_of(item, Completed)
        await store.all_acknowledged()
    assert report.delivery == 1
    assert len(store.of(item, Heartbeat)) >= 5


async def test_a_killed_processor_s_task_goes_to_another(nats_url: str, tmp_path: Path) -> None:
    """Without heartbeats the work item is delivered again, and executed under a higher delivery count."""
    async with store_side(nats_url, ack_wait_seconds=1) as store:
        async with processor_process(nats_url, tmp_path, TASKMILL_WORK_ACK_WAIT_SECONDS="1") as process:
            [item] = await store.dispatch("sleep", {"seconds": 1.5, "steps": 1})
            await store.report_of(item, Started)
            process.kill()
            await process.wait()
        async with running_processor(nats_url, work_ack_wait_seconds=1):
            report = await store.report_of(item, Completed)
            await store.all_acknowledged()
    assert report.delivery == 2
    assert [started.delivery for started in store.of(item, Started)] == [1, 2]
