"""What becomes of a delivery, without any NATS."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from taskmill.contracts.reports import Hello, ReportBundle, Started
from taskmill.contracts.work import WorkItem
from taskmill.processor.actors.execution import Execution
from taskmill.processor.actors.reports import Reports
from taskmill.processor.domain.held_work import HeldWork
from taskmill.processor.domain.report_text import bundle_text
from taskmill.processor.errors import UndecodableWorkError
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.publisher import Publisher
from taskmill.runtime.pull import Delivery
from taskmill.runtime.settings import NatsSettings
from taskmill.sdk import Context, TaskApp
from tests.unit.processor.builders import new_attempt


class Stage:
    """An execution with one slot, whose handler waits, and whose reports are looked at instead of sent."""

    def __init__(self) -> None:
        app = TaskApp("waiting")
        self.calls = 0
        self.may_end = asyncio.Event()

        @app.task("k")
        async def wait(_payload: Any, _context: Context) -> None:
            self.calls += 1
            await self.may_end.wait()

        session = NatsSession(NatsSettings(), client_name="test")
        self.held = HeldWork()
        self.reports = Reports(
            session,
            Publisher(session, timeout_seconds=1),
            self.held,
            Hello(queues=["q"], kinds=["k"], slots=1, software_version="1"),
            processor_id="p",
            boot_id="b",
        )
        self.execution = Execution(app.handlers, self.reports, self.held, slots=1, grace_seconds=0)

    def deliver(self, item: WorkItem, *, delivery: int) -> bool:
        """Let a delivery arrive; whether it was taken."""
        reply = f"reply.{delivery}"
        self.held.arrive(reply)
        return self.execution.begin(Delivery("subject", item.model_dump_json().encode(), reply, delivery, 1, 0, None))

    def started(self) -> Iterator[Started]:
        """The starts that wait to be sent."""
        texts = [report.text for report in self.reports._queue.cut()]
        bundle = ReportBundle.model_validate_json(bundle_text("p", texts))
        return (report for report in bundle.reports if isinstance(report, Started))

    async def drain(self) -> None:
        """Let the handlers end."""
        self.may_end.set()
        self.execution.stop()
        await self.execution.run(lambda: None)


async def test_without_a_slot_nothing_is_taken() -> None:
    """A second task has to be given back."""
    stage = Stage()
    assert stage.deliver(new_attempt(1).work_item, delivery=1)
    assert not stage.deliver(new_attempt(2).work_item, delivery=1)
    await stage.drain()


async def test_a_redelivery_of_what_runs_here_is_taken_without_a_slot() -> None:
    """Given back, it would be executed elsewhere at the same time."""
    stage = Stage()
    item = new_attempt(1).work_item
    assert stage.deliver(item, delivery=1)
    await asyncio.sleep(0)
    assert stage.deliver(item, delivery=2)
    assert stage.held.replies() == ["reply.2"]
    await stage.drain()
    assert stage.calls == 1


async def test_a_redelivery_after_one_elsewhere_is_announced() -> None:
    """The attempt takes its fence back from whoever had the delivery in between."""
    stage = Stage()
    item = new_attempt(1).work_item
    stage.deliver(item, delivery=1)
    await asyncio.sleep(0)
    stage.deliver(item, delivery=3)
    assert [report.delivery for report in stage.started()] == [3]
    await stage.drain()
    assert stage.calls == 1


@pytest.mark.parametrize("data", [b"", b"null", b"{}", b"\xff", b"[" * 10_000])
async def test_what_is_no_work_item_is_refused(data: bytes) -> None:
    """Whatever the bytes are, they are refused as undecodable."""
    with pytest.raises(UndecodableWorkError):
        Stage().execution.begin(Delivery("subject", data, "reply", 1, 1, 0, None))
