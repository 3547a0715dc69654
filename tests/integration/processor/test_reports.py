"""Reports are stored before work is acknowledged, whatever NATS does meanwhile."""

import asyncio
import signal
from pathlib import Path
from typing import Any

from taskmill.cli.embedded.nats import NatsServer
from taskmill.contracts.limits import MAX_BODY_BYTES
from taskmill.contracts.reports import Completed, Hello, Started
from taskmill.processor.actors.reports import Reports
from taskmill.processor.domain.held_work import HeldWork
from taskmill.runtime.publisher import Publisher
from taskmill.sdk import Context, TaskApp
from tests.integration.processor.harness import (
    SMALL_REPORTS_MAX_BYTES,
    processor_process,
    running_processor,
    store_side,
)
from tests.support.eventually import eventually


async def test_work_is_acknowledged_only_after_its_report_is_stored(nats_url: str) -> None:
    """While the stream of reports is full, finished work stays unacknowledged; with room, both are done."""
    async with (
        store_side(nats_url, is_collecting=False, reports_max_bytes=SMALL_REPORTS_MAX_BYTES) as store,
        running_processor(nats_url, work_ack_wait_seconds=2),
    ):
        await store.purge_reports()
        await store.fill_reports()
        [item] = await store.dispatch("echo")
        await store.held(1)
        assert await store.work_left() == 1
        await store.purge_reports()
        store.collect()
        await store.report_of(item, Completed)
        await store.all_acknowledged()
    assert store.types_of(item) == ["completed"]


async def test_a_lost_ack_leads_to_a_redelivery(nats_url: str, tmp_path: Path) -> None:
    """A processor that dies between the report and the ack leaves the work item to the next, which reports again."""
    async with store_side(nats_url, ack_wait_seconds=2) as store:
        # The first bundle is its hello.
        async with processor_process(nats_url, tmp_path, TASKMILL_FAILPOINT="report.published:2") as process:
            [item] = await store.dispatch("echo", "x")
            await store.report_of(item, Completed)
            assert await asyncio.wait_for(process.wait(), 5) == -signal.SIGKILL
        assert await store.work_left() == 1
        async with running_processor(nats_url, work_ack_wait_seconds=2):
            await store.all_acknowledged()
    assert [report.delivery for report in store.of(item, Completed)] == [1, 2]


async def test_large_reports_are_split_into_bundles(nats_url: str) -> None:
    """Results that do not fit one bundle together go out in several, none too large."""
    app = TaskApp("large")
    gate = asyncio.Event()

    @app.task("large")
    async def large(_payload: Any, _context: Context) -> str:
        await gate.wait()
        return "x" * 250_000

    async with store_side(nats_url) as store, running_processor(nats_url, app):
        items = await store.dispatch("large", count=10)
        for item in items:
            await store.report_of(item, Started)
        gate.set()
        for item in items:
            await store.report_of(item, Completed)
        await store.all_acknowledged()
    assert max(store.bundle_sizes) <= MAX_BODY_BYTES
    assert any(sum(isinstance(report, Completed) for report in bundle.reports) > 1 for bundle in store.bundles)


async def test_hellos_are_repeated(nats_url: str) -> None:
    """The store learns again and again that the processor is there, until it drains."""
    hello = Hello(queues=["default"], kinds=[], slots=1, software_version="1")
    async with store_side(nats_url) as store:
        reports = Reports(
            store.session,
            Publisher(store.session, timeout_seconds=2),
            HeldWork(),
            hello,
            processor_id="greeter",
            boot_id="boot",
            hello_interval_seconds=0.05,
        )
        running = asyncio.create_task(reports.run(lambda: None))
        await eventually(lambda: len(store.hellos) >= 3)
        reports.stop()
        await asyncio.wait_for(running, 5)
    assert set(map(Hello.model_dump_json, store.hellos)) == {hello.model_dump_json()}


async def test_a_processor_survives_a_restart_of_nats(nats_server: NatsServer) -> None:
    """What ended while NATS was away is reported once it is back, and new work is fetched again."""
    app = TaskApp("outage")
    may_end = asyncio.Event()

    @app.task("wait")
    async def wait(_payload: Any, _context: Context) -> str:
        await may_end.wait()
        return "done"

    async with store_side(nats_server.url) as store, running_processor(nats_server.url, app, slots=2):
        [item] = await store.dispatch("wait")
        await store.report_of(item, Started)
        await nats_server.stop()
        may_end.set()
        await nats_server.start()
        report = await store.report_of(item, Completed, within_seconds=20)
        await eventually(lambda: store.session.is_connected)
        hellos = await eventually(lambda: len(store.hellos) >= 2 and store.hellos)
        [next_item] = await store.dispatch("wait")
        await store.report_of(next_item, Completed)
        await store.all_acknowledged()
    assert report.result == "done"
    assert hellos
    assert hellos[0] == hellos[1]
