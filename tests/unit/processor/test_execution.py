"""What becomes of a delivery, without any NATS."""

import asyncio
import json
import threading
from functools import partial
from typing import Any

import pytest
from pydantic import JsonValue

from taskmill.contracts.reports import (
    AttemptReport,
    Cancelled,
    Checkpointed,
    Completed,
    Failed,
    GivenBack,
    Hello,
    Logged,
    Report,
    ReportBundle,
    Started,
    Submitted,
)
from taskmill.contracts.work import WorkItem
from taskmill.processor.actors.execution import Execution
from taskmill.processor.actors.reports import Reports
from taskmill.processor.domain.held_attempt import HeldAttempt
from taskmill.processor.domain.held_work import HeldWork
from taskmill.processor.domain.messages import bundle_text
from taskmill.processor.errors import UndecodableWorkError
from taskmill.runtime.log_names import LOG_NAMES
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.publisher import Publisher
from taskmill.runtime.pull import DeliveredMessage
from taskmill.runtime.settings import NatsSettings
from taskmill.sdk import Context, NotNow, TaskApp
from tests.support.eventually import eventually
from tests.unit.processor.builders import Noted, new_attempt, new_line


def tell_in_parting(context: Context) -> None:
    """What a handler may say just before it returns."""
    context._tell(Noted, text="first")
    context.progress(0.9)
    context._tell(Noted, text="last")


class BusyError(NotNow):
    """Does not say for how long."""

    def __init__(self) -> None:
        pass


class Stage:
    """An execution whose handler of `k` waits, and whose reports are looked at instead of sent."""

    def __init__(
        self,
        *,
        slots: int = 1,
        probation_seconds: float = 3_600,
        concurrency: int | None = None,
        stuck_seconds: float = 3_600,
    ) -> None:
        app = TaskApp("staged")
        self.calls = 0
        self.log_names: list[object] = []
        self.checkpoints: list[JsonValue] = []
        self.may_end = asyncio.Event()
        self.deaf_may_end = threading.Event()

        @app.task("k", concurrency=concurrency)
        async def wait(_payload: Any, context: Context) -> None:
            self.calls += 1
            self.log_names.append(LOG_NAMES.get()())
            self.checkpoints.append(context.checkpoint)
            await self.may_end.wait()

        @app.task("note")
        async def note(_payload: Any, context: Context) -> None:
            tell_in_parting(context)

        @app.task("busy")
        async def busy(_payload: Any, _context: Context) -> None:
            raise BusyError

        @app.task("submit")
        async def submit(payload: Any, context: Context) -> None:
            context.submit("echo", 1)
            if payload == "slowly":
                await self.may_end.wait()
            context.submit("echo", 2)

        @app.task("talk")
        async def talk(_payload: Any, context: Context) -> None:
            for page in (1, 2):
                context.progress(page / 2, checkpoint=page)
            context._tell(Logged, lines=[new_line(text) for text in "abc"])
            raise NotNow(after_seconds=1)

        @app.task("deaf", concurrency=1)
        def deaf(_payload: Any, _context: Context) -> None:
            self.deaf_may_end.wait(20)

        @app.task("note-in-thread")
        def note_in_thread(_payload: Any, context: Context) -> None:
            tell_in_parting(context)

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
        self.reports._loop = asyncio.get_running_loop()
        self.execution = Execution(
            app.handlers,
            self.reports,
            self.held,
            slots=slots,
            grace_seconds=0,
            probation_seconds=probation_seconds,
            renew_checkpoint=self.renew_checkpoint,
            stuck_seconds=stuck_seconds,
        )

    async def renew_checkpoint(self, attempt: HeldAttempt) -> None:
        """The store knows a newer one than the work item."""
        attempt.work_item = attempt.work_item.model_copy(update={"checkpoint": "renewed"})

    def deliver(self, item: WorkItem, *, delivery: int, possible_crashes: int = 0) -> bool:
        """Let a delivery arrive; return whether it was accepted."""
        reply = f"reply.{delivery}"
        self.held.arrive(reply)
        return self.execution.accept(
            DeliveredMessage("subject", item.model_dump_json().encode(), reply, delivery, 1, 0, None),
            possible_crashes=possible_crashes,
        )

    def reported(self) -> list[Report]:
        """The reports that wait to be sent."""
        texts = [report.text for report in self.reports._queue.cut()]
        return ReportBundle.model_validate_json(bundle_text("p", texts)).reports if texts else []

    def store_starts(self) -> None:
        """Let the reports that wait be stored."""
        for report in self.reports._queue.cut():
            if report.on_stored is not None:
                report.on_stored()

    async def drain(self) -> None:
        """Let the handlers end."""
        self.may_end.set()
        self.execution.stop()
        await self.execution.run(lambda: None)


async def test_without_a_slot_nothing_is_accepted() -> None:
    """A second task has to be declined."""
    stage = Stage()
    assert stage.deliver(new_attempt(1).work_item, delivery=1)
    assert not stage.deliver(new_attempt(2).work_item, delivery=1)
    await stage.drain()


async def test_what_is_logged_in_a_handler_names_its_attempt() -> None:
    """Of two at once, each its own; what is logged outside of them, or behind one, names none."""
    stage = Stage(slots=2)
    items = [new_attempt(number).work_item for number in (1, 2)]
    for item in items:
        stage.deliver(item, delivery=1)
    seen_behind: list[object] = []
    stage.execution.on_slot_freed(lambda: seen_behind.append(LOG_NAMES.get()()))
    await asyncio.sleep(0)
    assert LOG_NAMES.get()() == {}
    await stage.drain()
    assert stage.log_names == [{"task_id": str(item.task_id), "attempt": item.attempt} for item in items]
    assert seen_behind == [{}, {}]


async def test_a_redelivery_of_what_runs_here_is_accepted_without_a_slot() -> None:
    """Declined, it would be executed elsewhere at the same time."""
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
    assert [report.delivery for report in stage.reported() if isinstance(report, Started)] == [3]
    await stage.drain()
    assert stage.calls == 1


@pytest.mark.parametrize("data", [b"", b"null", b"{}", b"\xff", b"[" * 10_000])
async def test_what_is_no_work_item_is_refused(data: bytes) -> None:
    """Whatever the bytes are, they are refused as undecodable."""
    with pytest.raises(UndecodableWorkError):
        Stage().execution.accept(DeliveredMessage("subject", data, "reply", 1, 1, 0, None), possible_crashes=0)


async def steps() -> None:
    """Let the event loop do all that is due."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("kind", ["note", "note-in-thread"])
async def test_what_is_said_in_parting_is_told_before_the_end(kind: str) -> None:
    """All of it is, in order and behind a start, but what the end makes void."""
    stage = Stage()
    # No tick comes in between, however slow the thread is.
    stage.reports._is_tick_due = True
    stage.deliver(new_attempt().work_item.model_copy(update={"kind": kind}), delivery=1)
    await eventually(lambda: stage.execution.free_slots == 1)
    reports = [json.loads(report.text) for report in stage.reports._queue.cut()]
    assert [report["type"] for report in reports] == ["started", "noted", "noted", "completed"]
    assert [report["text"] for report in reports[1:3]] == ["first", "last"]


async def test_the_end_says_how_many_tasks_were_submitted() -> None:
    """They are told before it, and it must not overtake them."""
    stage = Stage()
    stage.reports._is_tick_due = True
    stage.deliver(new_attempt().work_item.model_copy(update={"kind": "submit"}), delivery=1)
    await eventually(lambda: stage.execution.free_slots == 1)
    _, first, second, end = stage.reported()
    assert isinstance(first, Submitted)
    assert isinstance(second, Submitted)
    assert isinstance(end, Completed)
    assert [(report.number, report.task.payload) for report in (first, second)] == [(1, 1), (2, 2)]
    assert end.submitted == 2


async def test_what_was_submitted_is_told_again_under_a_new_fence() -> None:
    """Somebody else held the attempt meanwhile, so it may not have counted; and the store counts anew."""
    stage = Stage()
    item = new_attempt().work_item.model_copy(update={"kind": "submit", "payload": "slowly"})
    stage.deliver(item, delivery=1)
    told: list[Report] = []

    def is_told() -> bool:
        told.extend(stage.reported())
        return len(told) == 2

    await eventually(is_told)
    stage.deliver(item, delivery=3)
    stage.may_end.set()
    await eventually(lambda: stage.execution.free_slots == 1)
    start, first, second, end = stage.reported()
    assert isinstance(start, Started)
    assert isinstance(first, Submitted)
    assert isinstance(second, Submitted)
    assert isinstance(end, Completed)
    assert [report.delivery for report in (start, first, second, end)] == [3, 3, 3, 3]
    assert told[1] == first.model_copy(update={"delivery": 1})
    assert [(report.number, report.task.payload) for report in (first, second)] == [(1, 1), (2, 2)]
    assert end.submitted == 2


async def test_the_end_says_how_much_was_told() -> None:
    """The number of the last line, and of the last checkpoint; it must not overtake them."""
    stage = Stage()
    stage.reports._is_tick_due = True
    stage.deliver(new_attempt().work_item.model_copy(update={"kind": "talk"}), delivery=1)
    await eventually(lambda: stage.execution.free_slots == 1)
    *_, checkpointed, logged, end = stage.reported()
    assert isinstance(checkpointed, Checkpointed)
    assert isinstance(logged, Logged)
    assert isinstance(end, GivenBack)
    assert (checkpointed.number, logged.first_number, len(logged.lines)) == (2, 1, 3)
    assert (end.submitted, end.logged, end.checkpointed) == (0, 3, 2)


async def test_what_is_cancelled_before_its_first_step_is_reported() -> None:
    """Its handler is not called, and it leaves its slot."""
    stage = Stage()
    item = new_attempt(1).work_item
    stage.deliver(item, delivery=1)
    stage.execution.cancel(item.task_id, item.attempt)
    await steps()
    assert [type(report) for report in stage.reported()] == [Cancelled]
    assert (stage.calls, stage.execution.free_slots) == (0, 1)
    await stage.drain()


async def test_a_drain_right_after_the_fetch_gives_back() -> None:
    """What has not made its first step is given back uncalled."""
    stage = Stage()
    stage.deliver(new_attempt(1).work_item, delivery=1)
    stage.execution.stop()
    await stage.execution.run(lambda: None)
    assert [type(report) for report in stage.reported()] == [GivenBack]


async def test_a_suspect_whose_start_is_not_stored_can_be_cancelled() -> None:
    """It is reported as cancelled alone; its handler is not called."""
    stage = Stage()
    item = new_attempt(1).work_item
    stage.deliver(item, delivery=3, possible_crashes=2)
    await steps()
    stage.execution.cancel(item.task_id, item.attempt)
    await steps()
    assert [type(report) for report in stage.reported()] == [Cancelled]
    assert stage.calls == 0
    await stage.drain()


@pytest.mark.parametrize(("possible_crashes", "probation_seconds"), [(1, 3_600), (2, 0)])
async def test_a_suspect_that_has_run_for_a_while_makes_way(possible_crashes: int, probation_seconds: float) -> None:
    """The next one begins beside it: after one crash a moment later, on the last chance when its probation is over."""
    stage = Stage(slots=2, probation_seconds=probation_seconds)
    for number in (1, 2):
        stage.deliver(new_attempt(number).work_item, delivery=2, possible_crashes=possible_crashes)

    def both_run() -> bool:
        stage.store_starts()
        return stage.calls == 2

    await eventually(both_run)
    await stage.drain()


async def test_a_crash_that_the_store_knows_of_counts_at_a_first_delivery() -> None:
    """What was given back after two crashes, and dispatched anew, still waits for its turn."""
    stage = Stage(slots=2)
    for number in (1, 2):
        stage.deliver(new_attempt(number).work_item.model_copy(update={"crashes": 2}), delivery=1)
    await steps()
    stage.store_starts()
    await steps()
    assert stage.calls == 1
    await stage.drain()


@pytest.mark.parametrize(("possible_crashes", "checkpoint"), [(0, "old"), (1, "renewed")])
async def test_who_follows_a_crash_goes_on_from_the_newest_checkpoint(possible_crashes: int, checkpoint: str) -> None:
    """The work item is the one from before the crash; anybody else need not ask for another."""
    stage = Stage()
    item = new_attempt().work_item.model_copy(update={"checkpoint": "old"})
    stage.deliver(item, delivery=2, possible_crashes=possible_crashes)
    await steps()
    stage.store_starts()
    await steps()
    assert stage.checkpoints == [checkpoint]
    await stage.drain()


async def test_suspects_that_wait_are_bounded() -> None:
    """As many as there are slots wait without taking one; any more take one each, so that the next is declined."""
    stage = Stage(slots=2)
    items = [new_attempt(number).work_item for number in range(1, 6)]
    assert all(stage.deliver(item, delivery=3, possible_crashes=2) for item in items[:4])
    assert stage.execution.free_slots == 0
    assert not stage.deliver(items[4], delivery=3, possible_crashes=2)
    await stage.drain()


async def test_the_next_suspect_begins_when_the_first_has_ended() -> None:
    """Not before, and only as many as slots run at once."""
    stage = Stage(slots=1)
    first, second = (new_attempt(number).work_item for number in (1, 2))
    stage.deliver(first, delivery=3, possible_crashes=2)
    await steps()
    stage.store_starts()
    await steps()
    assert stage.calls == 1
    # The only slot is taken, but not by what waits.
    assert not stage.deliver(second, delivery=3, possible_crashes=2)
    stage.may_end.set()
    await steps()
    assert stage.deliver(second, delivery=3, possible_crashes=2)
    await steps()
    stage.store_starts()
    await steps()
    assert stage.calls == 2
    await stage.drain()


async def test_a_suspect_that_times_out_lets_the_next_begin() -> None:
    """Its end is what counts, and the slot that comes free."""
    stage = Stage(slots=2)
    first = new_attempt(1).work_item.model_copy(update={"timeout_seconds": 0.01})
    second = new_attempt(2).work_item
    stage.deliver(first, delivery=3, possible_crashes=2)
    stage.deliver(second, delivery=3, possible_crashes=2)
    await steps()
    stage.store_starts()
    slot_freed = asyncio.Event()
    stage.execution.on_slot_freed(slot_freed.set)
    await asyncio.wait_for(slot_freed.wait(), 5)
    await steps()
    reports = [report for report in stage.reported() if isinstance(report, AttemptReport)]
    assert [(report.type, report.task_id) for report in reports if not isinstance(report, Completed)] == [
        ("failed", first.task_id),
        ("started", second.task_id),
    ]
    await stage.drain()


async def test_what_waits_for_its_kind_takes_no_slot_and_is_given_back_in_the_drain() -> None:
    """It never began; but no more wait than there are slots."""
    stage = Stage(slots=2, concurrency=1)
    items = [new_attempt(number).work_item for number in range(1, 6)]
    assert [stage.deliver(item, delivery=1) for item in items] == [True, True, True, True, False]
    assert stage.execution.free_slots == 0
    await asyncio.sleep(0)
    stage.execution.stop()
    draining = asyncio.create_task(stage.execution.run(lambda: None))
    await asyncio.wait_for(draining, 5)
    assert stage.calls == 1
    reports = stage.reported()
    assert {report.task_id for report in reports if isinstance(report, GivenBack)} == {it.task_id for it in items[:4]}


async def test_what_waits_for_a_handler_that_does_not_end_is_given_back() -> None:
    """Again and again, for others to do it; when it has ended, the kind is done here again."""
    stage = Stage(slots=5, stuck_seconds=0.05)
    items = [
        new_attempt(number).work_item.model_copy(update={"kind": "deaf", "timeout_seconds": 0.01})
        for number in range(1, 5)
    ]
    given_back: list[GivenBack] = []

    def is_given_back(item: WorkItem) -> bool:
        given_back.extend(report for report in stage.reported() if isinstance(report, GivenBack))
        return item.task_id in [report.task_id for report in given_back]

    assert stage.deliver(items[0], delivery=1)
    for number in (1, 2):
        assert stage.deliver(items[number], delivery=number + 1)
        await eventually(partial(is_given_back, items[number]))
    assert [(report.task_id, report.reason, report.after_seconds) for report in given_back] == [
        (item.task_id, "not_now", 0.05) for item in items[1:3]
    ]
    stage.deaf_may_end.set()
    await eventually(lambda: stage.execution._calls.given_up_count == 0)
    assert stage.deliver(items[3], delivery=4)
    await eventually(lambda: any(isinstance(report, Completed) for report in stage.reported()))
    await stage.drain()


async def test_a_suspect_whose_kind_has_no_room_holds_up_no_other() -> None:
    """It has its turn before those that stand in the line of its kind."""
    stage = Stage(slots=5, concurrency=1)
    running, waiting, suspect, other = (new_attempt(number).work_item for number in range(1, 5))
    stage.deliver(running, delivery=1)
    stage.deliver(waiting, delivery=1)
    stage.deliver(suspect, delivery=2, possible_crashes=1)
    stage.deliver(other.model_copy(update={"kind": "busy"}), delivery=2, possible_crashes=1)
    await steps()
    stage.store_starts()
    await steps()
    assert [report.task_id for report in stage.reported() if isinstance(report, Failed)] == [other.task_id]
    stage.execution.cancel(running.task_id, running.attempt)
    await steps()
    assert [report.task_id for report in stage.reported() if isinstance(report, Started)] == [suspect.task_id]
    await stage.drain()
    given_back = {report.task_id for report in stage.reported() if isinstance(report, GivenBack)}
    assert given_back == {waiting.task_id, suspect.task_id}


async def test_a_suspect_that_waits_for_a_handler_that_does_not_end_is_given_back() -> None:
    """As all that wait for it."""
    stage = Stage(slots=5, stuck_seconds=0.05)
    first, suspect = (
        new_attempt(number).work_item.model_copy(update={"kind": "deaf", "timeout_seconds": 0.01}) for number in (1, 2)
    )
    stage.deliver(first, delivery=1)
    stage.deliver(suspect, delivery=2, possible_crashes=1)
    await eventually(
        lambda: any(isinstance(it, GivenBack) and it.task_id == suspect.task_id for it in stage.reported())
    )
    stage.deaf_may_end.set()
    await stage.drain()


async def test_an_attempt_ends_whatever_its_handler_raises() -> None:
    """A subclass that says nothing of what its base class promises, for one."""
    stage = Stage()
    stage.deliver(new_attempt().work_item.model_copy(update={"kind": "busy"}), delivery=1)
    await steps()
    [failed] = [report for report in stage.reported() if isinstance(report, Failed)]
    assert failed.error.code == "handler_error"
