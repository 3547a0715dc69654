"""What may have ended a processor is executed alone, so that a crash is charged to who caused it."""

import asyncio
from pathlib import Path
from typing import Any

from taskmill.contracts.reports import Cancelled, Completed, GivenBack, Heartbeat, Started
from taskmill.contracts.status import Priority
from taskmill.contracts.work import WorkItem
from taskmill.sdk import Context, TaskApp
from tests.integration.processor.harness import StoreSide, processor_process, running_processor, store_side
from tests.support.eventually import eventually


class Gated:
    """An app whose handlers wait to be let go, one by one."""

    def __init__(self) -> None:
        self.app = TaskApp("gated")
        self.begun: list[Any] = []
        self.may_end: dict[Any, asyncio.Event] = {}
        self.app.task("wait")(self._wait)

    async def _wait(self, payload: Any, _context: Context) -> None:
        self.begun.append(payload)
        self.may_end[payload] = asyncio.Event()
        await self.may_end[payload].wait()


async def dispatch_suspects(store: StoreSide, *names: str) -> dict[str, WorkItem]:
    """Dispatch gated tasks that were delivered twice before. Nobody may serve meanwhile."""
    items = {name: (await store.dispatch("wait", name, priority=Priority.CRITICAL))[0] for name in names}
    for _ in range(2):
        await store.decline_next(Priority.CRITICAL, count=len(names))
    return items


async def test_suspects_run_one_at_a_time_and_the_rest_goes_on(nats_url: str) -> None:
    """The second waits, held but not reported as started, until the first has ended; fresh work is begun at once."""
    gated = Gated()
    async with store_side(nats_url) as store:
        items = await dispatch_suspects(store, "a", "b")
        async with running_processor(nats_url, gated.app, probation_seconds=3_600, work_ack_wait_seconds=1):
            await store.held(2, Priority.CRITICAL)
            [first] = await eventually(lambda: gated.begun)
            second = "b" if first == "a" else "a"
            fresh = [(await store.dispatch("echo"))[0] for _ in range(3)]
            for item in fresh:
                await store.report_of(item, Completed)
            await store.report_of(items[first], Heartbeat)
            assert gated.begun == [first]
            assert store.types_of(items[second]) == []
            assert store.of(items[second], Heartbeat) == []
            gated.may_end[first].set()
            await eventually(lambda: gated.begun == [first, second])
            gated.may_end[second].set()
            await store.report_of(items[second], Completed)
            await store.all_acknowledged()
    assert [report.delivery for report in store.of(items[second], Started)] == [3]


async def test_suspects_that_wait_take_no_slot(nats_url: str) -> None:
    """With two slots and three suspects there is still a slot for fresh work."""
    gated = Gated()
    async with store_side(nats_url) as store:
        await dispatch_suspects(store, "a", "b", "c")
        async with running_processor(nats_url, gated.app, probation_seconds=3_600, slots=2):
            await store.held(3, Priority.CRITICAL)
            await eventually(lambda: gated.begun)
            [item] = await store.dispatch("echo")
            await store.report_of(item, Completed)
            assert len(gated.begun) == 1


async def test_a_suspect_that_waits_can_be_cancelled(nats_url: str) -> None:
    """It is reported as cancelled without ever having been begun."""
    gated = Gated()
    async with store_side(nats_url) as store:
        items = await dispatch_suspects(store, "a", "b")
        async with running_processor(nats_url, gated.app, probation_seconds=3_600):
            await store.held(2, Priority.CRITICAL)
            [first] = await eventually(lambda: gated.begun)
            second = items["b" if first == "a" else "a"]
            store.cancel(second)
            await store.report_of(second, Cancelled)
            gated.may_end[first].set()
            await store.all_acknowledged()
    assert gated.begun == [first]
    assert store.types_of(second) == ["cancelled"]


async def test_suspects_that_wait_are_given_back_at_once(nats_url: str) -> None:
    """A processor that drains does not wait for their turn, while the one that runs has its time."""
    gated = Gated()
    async with store_side(nats_url) as store:
        items = await dispatch_suspects(store, "a", "b")
        async with running_processor(nats_url, gated.app, probation_seconds=3_600, grace_seconds=10) as supervisor:
            await store.held(2, Priority.CRITICAL)
            [first] = await eventually(lambda: gated.begun)
            second = items["b" if first == "a" else "a"]
            supervisor.stop()
            await store.report_of(second, GivenBack, within_seconds=2)
            gated.may_end[first].set()
        await store.report_of(items[first], Completed)
        assert await store.work_left() == 0


async def test_what_was_given_back_here_for_want_of_a_slot_is_no_suspect(nats_url: str) -> None:
    """Its second delivery goes on beside a suspect: this processor knows that nobody began it."""
    gated = Gated()
    async with store_side(nats_url) as store:
        await dispatch_suspects(store, "suspect")
        async with running_processor(nats_url, gated.app, probation_seconds=3_600, slots=2):
            await eventually(lambda: gated.begun == ["suspect"])
            await store.dispatch("wait", "fills")
            await eventually(lambda: "fills" in gated.begun)
            [item] = await store.dispatch("wait", "returned", priority=Priority.LOW)
            await store.declined(Priority.LOW)
            gated.may_end["fills"].set()
            await eventually(lambda: "returned" in gated.begun)
            gated.may_end["returned"].set()
            report = await store.report_of(item, Completed)
            gated.may_end["suspect"].set()
    assert report.delivery > 1


POISONED_APP = """
import asyncio
import os

from taskmill.sdk import TaskApp

app = TaskApp("poisoned")


@app.task("innocent")
async def innocent(payload, context):
    await asyncio.sleep(0.5)


@app.task("poison")
async def poison(payload, context):
    await asyncio.sleep(0.2)
    os._exit(1)
"""


async def test_crashes_are_charged_to_who_caused_them(nats_url: str, tmp_path: Path) -> None:
    """Of the starts of a task that ends its processor every time all are known; its neighbours complete."""
    (tmp_path / "poisoned.py").write_text(POISONED_APP)
    async with store_side(nats_url, ack_wait_seconds=1) as store:
        before = await store.dispatch("innocent")
        [poison] = await store.dispatch("poison")
        innocents = before + await store.dispatch("innocent", count=3)
        for crash in range(4):
            async with processor_process(
                nats_url, tmp_path, "--app", "poisoned:app", TASKMILL_WORK_ACK_WAIT_SECONDS="1"
            ) as process:
                assert await asyncio.wait_for(process.wait(), 20) == 1
            assert [report.delivery for report in store.of(poison, Started)] == list(range(1, crash + 2))
        # The fourth start tells of three crashes: here the store takes the poison out.
        await store.purge_work(poison)
        async with processor_process(nats_url, tmp_path, "--app", "poisoned:app", TASKMILL_WORK_ACK_WAIT_SECONDS="1"):
            for item in innocents:
                await store.report_of(item, Completed)
    # They may be taken down beside it twice. The third time each has its turn.
    assert max(len(store.of(item, Started)) for item in innocents) in {2, 3}
