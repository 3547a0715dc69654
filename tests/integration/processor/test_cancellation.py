"""What a client wants to be stopped is stopped, as far as it can be."""

import asyncio
from typing import Any

from taskmill.contracts import subjects
from taskmill.contracts.reports import Cancelled, Completed, GivenBack, Started
from taskmill.sdk import Context, TaskApp
from tests.integration.processor.harness import running_processor, store_side
from tests.support.eventually import eventually


async def test_sleep_stops_at_once(nats_url: str) -> None:
    """An async handler is stopped where it waits, reported as cancelled and acknowledged, and its slot is free."""
    loop = asyncio.get_running_loop()
    async with store_side(nats_url) as store, running_processor(nats_url, slots=1):
        [item] = await store.dispatch("sleep", {"seconds": 3_600, "steps": 1})
        started = await store.report_of(item, Started)
        cancelled_at = loop.time()
        store.cancel(item)
        report = await store.report_of(item, Cancelled)
        assert loop.time() - cancelled_at < 1
        await store.all_acknowledged()
        [next_item] = await store.dispatch("echo")
        await store.report_of(next_item, Completed)
    assert report.started_at == started.started_at
    assert report.started_at <= report.finished_at
    assert store.types_of(item) == ["started", "cancelled"]


async def test_a_handler_may_clean_up_and_complete(nats_url: str) -> None:
    """Repeated cancellations do not break into its cleaning up; what it then returns is its result."""
    app = TaskApp("tidy")
    cancellations: list[int] = []
    may_end = asyncio.Event()

    @app.task("tidy")
    async def tidy(_payload: Any, _context: Context) -> str:
        try:
            await may_end.wait()
        except asyncio.CancelledError:
            cancellations.append(1)
            await may_end.wait()
        return "done all the same"

    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("tidy")
        await store.report_of(item, Started)
        store.cancel(item)
        await eventually(lambda: cancellations)
        store.cancel(item)
        # What is sent on one connection arrives in order, so this task is behind the second cancellation.
        [later] = await store.dispatch("echo")
        await store.report_of(later, Completed)
        may_end.set()
        report = await store.report_of(item, Completed)
        await store.all_acknowledged()
    assert report.result == "done all the same"
    assert cancellations == [1]


async def test_what_a_stopped_handler_raises_comes_of_its_stop(nats_url: str) -> None:
    """A handler that turns its cancellation into another error was cancelled, or given back by a drain."""
    app = TaskApp("turning")

    @app.task("turn")
    async def turn(_payload: Any, _context: Context) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError from None

    async with store_side(nats_url) as store:
        async with running_processor(nats_url, app):
            cancelled, drained = await store.dispatch("turn", count=2)
            await store.report_of(cancelled, Started)
            await store.report_of(drained, Started)
            store.cancel(cancelled)
            await store.report_of(cancelled, Cancelled)
        await store.report_of(drained, GivenBack)
    assert store.types_of(drained) == ["started", "given_back"]


async def test_what_is_not_meant_goes_on(nats_url: str) -> None:
    """Another attempt of the task, another task, and what is no such message stop nothing."""
    app = TaskApp("waiting")
    may_end = asyncio.Event()

    @app.task("wait")
    async def wait(_payload: Any, _context: Context) -> None:
        await may_end.wait()

    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("wait")
        await store.report_of(item, Started)
        [done] = await store.dispatch("echo")
        await store.report_of(done, Completed)
        store.cancel(item, attempt=2)
        store.cancel(done)
        store.session.publish(subjects.cancel(item.task_id), b"\xff")
        store.session.publish(f"{subjects.PREFIX}.ctl.cancel.nothing", b'{"attempt":1}')
        [later] = await store.dispatch("echo")
        await store.report_of(later, Completed)
        may_end.set()
        await store.report_of(item, Completed)
    assert store.types_of(done) == ["completed"]


async def test_a_handler_that_ignores_its_cancellation_has_its_time(nats_url: str) -> None:
    """It may go on after a client has cancelled its task, but not beyond its time: then the task is cancelled."""
    app, may_end, cancellations = TaskApp("stubborn"), asyncio.Event(), list[None]()

    @app.task("stubborn")
    async def stubborn(_payload: Any, _context: Context) -> str:
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                cancellations.append(None)
        return "too late"

    async with store_side(nats_url) as store, running_processor(nats_url, app, slots=1):
        [item] = await store.dispatch("stubborn", timeout_seconds=0.5)
        await store.report_of(item, Started)
        store.cancel(item)
        await store.report_of(item, Cancelled)
        await store.all_acknowledged()
        assert len(cancellations) == 1
        may_end.set()
        [after] = await store.dispatch("echo")
        await store.report_of(after, Completed)
    assert store.types_of(item) == ["started", "cancelled"]
