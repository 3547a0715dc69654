"""What a processor does when a queue is paused, and what it says of itself."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from taskmill.contracts import subjects
from taskmill.contracts.control import QueuesPaused
from taskmill.contracts.reports import Completed, GivenBack, Started
from taskmill.contracts.status import Priority
from taskmill.contracts.streams import WORK_STREAM, work_consumer_name
from taskmill.runtime.consumer_pause import pause_consumer, resume_consumer
from taskmill.sdk import Context, TaskApp
from tests.integration.processor.harness import StoreSide, running_processor, store_side
from tests.integration.processor.test_suspects import Gated, dispatch_suspects
from tests.support.eventually import eventually

MEDIUM = work_consumer_name("default", Priority.MEDIUM)


def tell_paused(store: StoreSide, *queues: str) -> None:
    """Tell processors which queues are paused."""
    store.session.publish(subjects.QUEUES_PAUSED_SUBJECT, QueuesPaused(queues=list(queues)).model_dump_json().encode())


async def test_what_waits_for_its_turn_is_given_back(nats_url: str) -> None:
    """Of a queue that is paused; what runs goes on to its end, and what waits in another queue waits on."""
    gated = Gated()
    async with store_side(nats_url) as store:
        items = await dispatch_suspects(store, "a", "b", "c")
        async with running_processor(nats_url, gated.app, probation_seconds=3_600):
            await store.held(3, Priority.CRITICAL)
            [first] = await eventually(lambda: gated.begun)
            tell_paused(store, "other")
            tell_paused(store, "default")
            waiting = sorted({"a", "b", "c"} - {first})
            for name in waiting:
                report = await store.report_of(items[name], GivenBack)
                assert (report.reason, report.delivery) == ("paused", 3)
                assert store.of(items[name], Started) == []
            assert gated.begun == [first]
            gated.may_end[first].set()
            await store.report_of(items[first], Completed)
            await store.all_acknowledged()


async def test_what_waits_in_another_queue_waits_on(nats_url: str) -> None:
    """It is begun when its turn has come."""
    gated = Gated()
    async with store_side(nats_url) as store:
        items = await dispatch_suspects(store, "a", "b")
        async with running_processor(nats_url, gated.app, probation_seconds=3_600):
            await store.held(2, Priority.CRITICAL)
            [first] = await eventually(lambda: gated.begun)
            tell_paused(store, "other")
            store.session.publish(subjects.QUEUES_PAUSED_SUBJECT, b"no list of queues")
            gated.may_end[first].set()
            second = (await eventually(lambda: gated.begun[1:]))[0]
            gated.may_end[second].set()
            await store.report_of(items[second], Completed)
    assert all(store.of(item, GivenBack) == [] for item in items.values())


async def test_what_waits_for_others_of_its_kind_is_given_back(nats_url: str) -> None:
    """Where a kind has a limit, work is fetched that cannot begin yet."""
    app = TaskApp("limited")
    begun, may_end = asyncio.Event(), asyncio.Event()

    @app.task("one-by-one", concurrency=1)
    async def one_by_one(_payload: Any, _context: Context) -> None:
        begun.set()
        await may_end.wait()

    async with store_side(nats_url) as store, running_processor(nats_url, app):
        first, *waiting = await store.dispatch("one-by-one", count=4)
        await begun.wait()
        await store.held(4)
        tell_paused(store, "default")
        for item in waiting:
            assert (await store.report_of(item, GivenBack)).reason == "paused"
            assert store.of(item, Started) == []
        may_end.set()
        await store.report_of(first, Completed)
        [fresh] = await store.dispatch("one-by-one")
        await store.report_of(fresh, Completed)


async def test_a_processor_comes_into_a_pause_and_out_of_it(nats_url: str) -> None:
    """One that starts while a consumer is paused begins nothing of it, and everything as soon as it is resumed."""
    async with store_side(nats_url) as store:
        await pause_consumer(store.session, WORK_STREAM, MEDIUM)
        items = await store.dispatch("echo", count=5)
        async with running_processor(nats_url):
            [urgent] = await store.dispatch("echo", priority=Priority.HIGH)
            await store.report_of(urgent, Completed)
            assert [store.types_of(item) for item in items] == [[]] * 5
            await resume_consumer(store.session, WORK_STREAM, MEDIUM)
            for item in items:
                report = await store.report_of(item, Completed, within_seconds=1)
                assert report.delivery == 1


async def test_a_processor_says_how_it_stands(nats_url: str) -> None:
    """Since when it runs, how many handlers run, and that it drains."""
    app = TaskApp("waiting")
    begun, may_end = asyncio.Event(), asyncio.Event()

    @app.task("wait")
    async def wait(_payload: Any, _context: Context) -> None:
        begun.set()
        await may_end.wait()

    before = datetime.now(UTC)
    async with store_side(nats_url) as store, running_processor(nats_url, app, grace_seconds=5) as supervisor:
        [first] = await eventually(lambda: store.hellos)
        assert (first.running, first.is_draining) == (0, False)
        assert first.started_at is not None
        assert before <= first.started_at <= datetime.now(UTC)
        await store.dispatch("wait")
        await begun.wait()
        supervisor.stop()
        last = (await eventually(lambda: store.hellos[1:]))[0]
        may_end.set()
    assert (last.running, last.is_draining, last.started_at) == (1, True, first.started_at)
