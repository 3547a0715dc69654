"""Work is fetched by weight, at once when idle, and never held by who cannot serve it."""

import asyncio
from collections import Counter
from typing import Any

from structlog.testing import capture_logs

from taskmill.contracts.permissions import PROCESSOR
from taskmill.contracts.reports import Completed
from taskmill.contracts.status import Priority
from taskmill.contracts.tasks import KindDefaults, RetryBackoff
from taskmill.processor.bootstrap import build_processor
from taskmill.processor.settings import ProcessorSettings
from taskmill.runtime.supervisor import RunState
from taskmill.sdk import Context, TaskApp
from tests.integration.processor.harness import running_processor, store_side
from tests.support.eventually import eventually
from tests.support.nats_keys import seed_of


class Recorder:
    """An app that notes the order in which tasks are begun, and how many are at work at once."""

    def __init__(self) -> None:
        self.app = TaskApp("recorder")
        self.begun: list[Context] = []
        self.may_end = asyncio.Event()
        self.at_once = 0
        self.most_at_once = 0
        self.app.task("wait")(self._wait)
        self.app.task("note")(self._note)

    async def _note(self, _payload: Any, context: Context) -> None:
        self.begun.append(context)

    async def _wait(self, _payload: Any, context: Context) -> None:
        self.begun.append(context)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.may_end.wait()
        self.at_once -= 1


async def test_slots_are_shared_by_weight(nats_url: str) -> None:
    """With a backlog everywhere, the priorities are served about 8 : 4 : 2 : 1."""
    recorder = Recorder()
    async with store_side(nats_url) as store:
        for priority in Priority:
            await store.dispatch("note", priority=priority, count=600)
        async with running_processor(nats_url, recorder.app, slots=15):
            await eventually(lambda: len(recorder.begun) >= 900)
    served = Counter(context.priority for context in recorder.begun[:900])
    expected = {Priority.CRITICAL: 480, Priority.HIGH: 240, Priority.MEDIUM: 120, Priority.LOW: 60}
    assert all(abs(served[priority] - count) <= count * 0.3 for priority, count in expected.items()), served


async def test_low_priority_moves_even_with_one_slot(nats_url: str) -> None:
    """While critical tasks keep the only slot busy, low ones get their turns."""
    recorder = Recorder()
    async with store_side(nats_url) as store:
        await store.dispatch("note", priority=Priority.CRITICAL, count=300)
        await store.dispatch("note", priority=Priority.LOW, count=300)
        async with running_processor(nats_url, recorder.app, slots=1):
            await eventually(lambda: len(recorder.begun) >= 180)
    served = Counter(context.priority for context in recorder.begun[:180])
    assert 10 <= served[Priority.LOW] <= 40, served


async def test_one_priority_alone_uses_all_slots(nats_url: str) -> None:
    """When only medium tasks wait, all slots are theirs, and never more than there are."""
    recorder = Recorder()
    async with store_side(nats_url) as store:
        items = await store.dispatch("wait", count=60)
        async with running_processor(nats_url, recorder.app, slots=20):
            await eventually(lambda: recorder.at_once == 20)
            recorder.may_end.set()
            for item in items:
                await store.report_of(item, Completed)
    assert recorder.most_at_once == 20


async def test_queues_share_alike(nats_url: str) -> None:
    """Two queues get the same part, whatever the priorities of what waits in them."""
    recorder = Recorder()
    async with store_side(nats_url, queues=["fast", "slow"]) as store:
        await store.dispatch("note", queue="fast", priority=Priority.CRITICAL, count=600)
        await store.dispatch("note", queue="slow", priority=Priority.LOW, count=600)
        async with running_processor(nats_url, recorder.app, slots=10, queues=["fast", "slow"]):
            await eventually(lambda: len(recorder.begun) >= 600)
    served = Counter(context.queue for context in recorder.begun[:600])
    assert abs(served["fast"] - served["slow"]) <= 150, served


async def test_an_idle_processor_reacts_at_once(nats_url: str) -> None:
    """On every lane a task that comes to an idle processor is begun within a fraction of a second."""
    loop = asyncio.get_running_loop()
    async with store_side(nats_url) as store, running_processor(nats_url):
        [first] = await store.dispatch("echo")
        await store.report_of(first, Completed)
        for priority in Priority:
            published_at = loop.time()
            [item] = await store.dispatch("echo", priority=priority)
            await store.report_of(item, Completed)
            assert loop.time() - published_at < 0.5


async def test_who_has_no_slot_gives_back(nats_url: str) -> None:
    """A task that comes over a parked pull to a full processor is at once at another's."""
    full, other = Recorder(), Recorder()
    async with store_side(nats_url) as store, running_processor(nats_url, full.app, slots=1, processor_id="full"):
        await store.dispatch("wait")
        await eventually(lambda: full.begun)
        async with running_processor(nats_url, other.app, slots=3, processor_id="other"):
            for priority in (Priority.CRITICAL, Priority.HIGH, Priority.LOW):
                [item] = await store.dispatch("note", priority=priority)
                await store.report_of(item, Completed, within_seconds=2)
            full.may_end.set()
    assert len(full.begun) == 1
    assert len(other.begun) == 3


async def test_what_was_declined_is_served_by_the_next_free_slot(nats_url: str) -> None:
    """A task that the only processor declined for want of a slot is begun as soon as one is free."""
    recorder = Recorder()
    async with store_side(nats_url) as store, running_processor(nats_url, recorder.app, slots=1):
        await store.dispatch("wait")
        await eventually(lambda: recorder.begun)
        [item] = await store.dispatch("note", priority=Priority.LOW)
        await store.declined(Priority.LOW)
        recorder.may_end.set()
        report = await store.report_of(item, Completed, within_seconds=2)
    assert report.delivery >= 2


async def test_a_processor_waits_for_the_store(nats_url: str) -> None:
    """Started before the store has made its streams, it says so without alarm, and serves once they are there."""
    settings = ProcessorSettings(nats_url=nats_url, nats_nkey_seed=seed_of(PROCESSOR), slots=7, grace_seconds=0)
    async with store_side(nats_url, is_provisioned=False) as store:
        supervisor = build_processor(settings)
        with capture_logs() as logs:
            running = asyncio.create_task(supervisor.run())
            await eventually(lambda: any(entry["event"] == "reports.awaiting_store" for entry in logs))
            assert supervisor.states()["reports"] is RunState.STARTING
            assert supervisor.states()["work-intake"] is RunState.STOPPED
            await store.provision()
            [item] = await store.dispatch("echo")
            await store.report_of(item, Completed, within_seconds=2)
            hello = store.hellos[0]
        supervisor.stop()
        await running
    assert not [entry for entry in logs if entry["log_level"] in {"warning", "error"}]
    assert (hello.queues, hello.slots) == (["default", "webhooks"], 7)
    assert {"echo", "sleep", "http-request"} <= set(hello.kinds)
    assert hello.kind_defaults["http-request"] == KindDefaults(max_attempts=3, backoff=RetryBackoff())
    assert hello.kind_defaults["echo"] == hello.kind_defaults["sleep"] == KindDefaults()


async def test_a_processor_that_waits_for_the_store_can_be_stopped(nats_url: str) -> None:
    """It has nothing to lose, and ends without alarm."""
    supervisor = build_processor(
        ProcessorSettings(nats_url=nats_url, nats_nkey_seed=seed_of(PROCESSOR), grace_seconds=0)
    )
    with capture_logs() as logs:
        running = asyncio.create_task(supervisor.run())
        await eventually(lambda: any(entry["event"] == "reports.awaiting_store" for entry in logs))
        supervisor.stop()
        async with asyncio.timeout(5):
            await running
    assert not [entry for entry in logs if entry["log_level"] in {"warning", "error"}]
