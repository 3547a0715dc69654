"""What handlers write with `ctx.log` is reported, in order, and bounded whatever NATS does meanwhile."""

import asyncio
import threading
from typing import Any

from taskmill.cli.embedded.nats import NatsServer
from taskmill.contracts.limits import MAX_BODY_BYTES, MAX_LINES_IN_A_REPORT, MAX_TASK_LINES
from taskmill.contracts.reports import Completed, Logged, Started
from taskmill.contracts.work import WorkItem
from taskmill.sdk import Context, TaskApp
from tests.integration.processor.harness import StoreSide, running_processor, store_side

LINES = 10_000


def texts(store: StoreSide, item: WorkItem) -> list[str]:
    """The lines of a task, as they were reported."""
    return [line.text for report in store.of(item, Logged) for line in report.lines]


async def test_lines_come_between_start_and_end(nats_url: str) -> None:
    """Also those of a handler that returns at once."""
    app = TaskApp("quick")

    @app.task("quick")
    async def quick(_payload: Any, context: Context) -> None:
        context.log.info("one", number=1)
        context.log.warning("two\x00")

    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("quick")
        end = await store.report_of(item, Completed)
        [report] = store.of(item, Logged)
    assert store.types_of(item) == ["started", "logged", "completed"]
    assert [(line.level, line.text) for line in report.lines] == [("info", "one number=1"), ("warning", "two\ufffd")]
    assert (report.first_number, report.dropped, end.logged) == (1, 0, 2)


async def test_lines_are_told_while_the_handler_runs(nats_url: str) -> None:
    """At most once a second; what is written meanwhile comes with the next report, from any thread."""
    app = TaskApp("busy")
    may_end = threading.Event()

    @app.task("busy")
    def busy(_payload: Any, context: Context) -> None:
        for number in range(150):
            context.log.info("line", number=number)
        may_end.wait(10)
        context.log.info("the end")

    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("busy")
        first = await store.report_of(item, Logged)
        assert len(first.lines) <= MAX_LINES_IN_A_REPORT
        may_end.set()
        await store.report_of(item, Completed)
    assert texts(store, item) == [*(f"line number={number}" for number in range(150)), "the end"]
    assert store.types_of(item)[0] == "started"
    assert store.types_of(item)[-1] == "completed"


async def test_a_flood_while_nats_is_away_is_bounded(nats_server: NatsServer) -> None:
    """Of ten thousand lines the newest are told when NATS is back, with how many are missing before them."""
    app = TaskApp("flood")
    is_away, is_written, may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @app.task("flood")
    async def flood(_payload: Any, context: Context) -> None:
        context.log.info("before")
        await is_away.wait()
        for number in range(LINES):
            context.log.info("line", number=number)
            if number % 100 == 0:
                await asyncio.sleep(0)  # so that what is due may be put into the queue of reports
        is_written.set()
        await may_end.wait()

    async with store_side(nats_server.url) as store, running_processor(nats_server.url, app):
        [item] = await store.dispatch("flood")
        await store.report_of(item, Logged)
        await nats_server.stop()
        is_away.set()
        await asyncio.wait_for(is_written.wait(), 20)
        may_end.set()
        await nats_server.start()
        end = await store.report_of(item, Completed, within_seconds=20)
    reports = store.of(item, Logged)
    told = [text for text in texts(store, item) if text != "before"]
    dropped = sum(report.dropped for report in reports)
    assert len(told) <= MAX_TASK_LINES + 2 * MAX_LINES_IN_A_REPORT
    assert told[-MAX_TASK_LINES:] == [f"line number={number}" for number in range(LINES - MAX_TASK_LINES, LINES)]
    assert dropped == LINES - len(told)
    numbers = [report.first_number + place for report in reports for place in range(len(report.lines))]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == end.logged == LINES + 1
    assert max(store.bundle_sizes) <= MAX_BODY_BYTES
    assert len(store.of(item, Started)) >= 1
