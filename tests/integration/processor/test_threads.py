"""A sync handler cannot be stopped: its thread goes on."""

import asyncio
import threading
from contextlib import suppress
from typing import Any

import pytest

from taskmill.contracts.reports import AttemptReport, Cancelled, Completed, Failed, Started
from taskmill.sdk import Context, TaskApp
from tests.integration.processor.harness import running_processor, store_side


@pytest.mark.parametrize(("timeout_seconds", "end"), [(None, Cancelled), (0.2, Failed)])
async def test_a_thread_loses_its_report_and_keeps_its_slot(
    nats_url: str, timeout_seconds: float | None, end: type[AttemptReport]
) -> None:
    """Its attempt ends at once, whatever it says or returns then is dropped, and its slot comes later."""
    app = TaskApp("deaf")
    may_end = threading.Event()
    other_began = asyncio.Event()

    @app.task("deaf")
    def deaf(_payload: Any, context: Context) -> str:
        may_end.wait(20)
        context.progress(0.9)
        return "too late"

    @app.task("other")
    async def other(_payload: Any, _context: Context) -> None:
        other_began.set()

    async with store_side(nats_url) as store, running_processor(nats_url, app, slots=1):
        [item] = await store.dispatch("deaf", timeout_seconds=timeout_seconds)
        await store.report_of(item, Started)
        if timeout_seconds is None:
            store.cancel(item)
        report = await store.report_of(item, end, within_seconds=2)
        await store.all_acknowledged()
        [next_item] = await store.dispatch("other")
        with suppress(TimeoutError):
            await asyncio.wait_for(other_began.wait(), 0.3)
        assert not other_began.is_set()
        may_end.set()
        await store.report_of(next_item, Completed)
    assert not isinstance(report, Failed) or report.error.code == "timeout"
    assert store.types_of(item) == ["started", "cancelled" if end is Cancelled else "failed"]


async def test_a_thread_that_goes_on_counts_for_its_kind(nats_url: str) -> None:
    """Another of the kind begins only when it has ended, whatever slots are free."""
    app = TaskApp("deaf")
    may_end, second_began = threading.Event(), threading.Event()

    @app.task("deaf", concurrency=1)
    def deaf(payload: Any, _context: Context) -> None:
        if payload == "second":
            second_began.set()
        else:
            may_end.wait(20)

    @app.task("other")
    async def other(_payload: Any, _context: Context) -> None:
        """Takes a slot."""

    async with store_side(nats_url) as store, running_processor(nats_url, app, slots=5):
        [first] = await store.dispatch("deaf", timeout_seconds=0.2)
        assert (await store.report_of(first, Failed)).error.code == "timeout"
        [second] = await store.dispatch("deaf", "second")
        # It has come by the time one behind it is done.
        [behind] = await store.dispatch("other")
        await store.report_of(behind, Completed)
        assert not second_began.is_set()
        may_end.set()
        await store.report_of(second, Completed)
