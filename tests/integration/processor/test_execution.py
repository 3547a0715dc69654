"""Handlers are called, and what they do is reported."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from taskmill.contracts import streams, subjects
from taskmill.contracts.limits import MAX_RESULT_BYTES, MAX_TRACEBACK_CHARS
from taskmill.contracts.reports import Completed, Failed, GivenBack, Progressed, Started
from taskmill.contracts.status import Priority
from taskmill.runtime.outbound import OutboundMessage
from taskmill.sdk import Context, GiveUp, InvalidPayloadError, NotNow, RetryLater, TaskApp, TaskFailedError
from tests.integration.processor.harness import SMALL_REPORTS_MAX_BYTES, running_processor, store_side, work_message
from tests.support.eventually import eventually


async def test_a_quick_task_is_told_in_one_report(nats_url: str) -> None:
    """`echo` returns its payload; its end stands for its start, and the work item is acknowledged."""
    async with store_side(nats_url) as store, running_processor(nats_url):
        [item] = await store.dispatch("echo", {"hello": ["world", 1.5, None]})
        report = await store.report_of(item, Completed)
        await store.all_acknowledged()
    assert report.result == {"hello": ["world", 1.5, None]}
    assert (report.attempt, report.dispatch, report.delivery) == (1, 1, 1)
    assert report.started_at <= report.finished_at
    assert store.types_of(item) == ["completed"]


async def test_a_slow_task_is_announced(nats_url: str) -> None:
    """A handler that does not return at once is reported as started, and once only."""
    app = TaskApp("slow")
    may_end = asyncio.Event()

    @app.task("slow")
    async def slow(_payload: Any, _context: Context) -> None:
        await may_end.wait()

    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("slow")
        started = await store.report_of(item, Started)
        may_end.set()
        completed = await store.report_of(item, Completed)
    assert store.types_of(item) == ["started", "completed"]
    assert completed.started_at == started.started_at


async def test_sync_handlers_run_side_by_side(nats_url: str) -> None:
    """Sync handlers run in threads, as many at once as there are slots."""
    app = TaskApp("sync")
    meeting = threading.Barrier(3, timeout=10)

    @app.task("meet")
    def meet(payload: Any, context: Context) -> Any:
        meeting.wait()
        return [payload, context.idempotency_token]

    async with store_side(nats_url) as store, running_processor(nats_url, app, slots=3):
        items = await store.dispatch("meet", 7, count=3)
        reports = [await store.report_of(item, Completed) for item in items]
    assert [report.result for report in reports] == [[7, f"{item.task_id}:1"] for item in items]


def _raise(error: BaseException) -> Callable[[Any, Context], Any]:
    async def handler(_payload: Any, _context: Context) -> Any:
        raise error

    return handler


def _raise_in_thread(error: BaseException) -> Callable[[Any, Context], Any]:
    def handler(_payload: Any, _context: Context) -> Any:
        raise error

    return handler


class UnreadableError(Exception):
    """An exception whose message cannot be had."""

    def __str__(self) -> str:
        raise ValueError


class OddError(BaseException):
    """An exception that is none of the usual."""


class CodelessError(TaskFailedError):
    """One that forgets what its base class has to do."""

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)


def _with_code(code: str) -> TaskFailedError:
    error = TaskFailedError("quota_exceeded", "Too much.")
    error.code = code
    return error


@pytest.mark.parametrize(
    ("handler", "code", "error_type", "message"),
    [
        (_raise(ValueError("no\x00good")), "handler_error", "ValueError", "no\ufffdgood"),
        (_raise_in_thread(KeyError("x")), "handler_error", "KeyError", "'x'"),
        (_raise(SystemExit(3)), "handler_error", "SystemExit", "3"),
        (_raise_in_thread(SystemExit(3)), "handler_error", "SystemExit", "3"),
        (_raise(KeyboardInterrupt()), "handler_error", "KeyboardInterrupt", ""),
        (_raise_in_thread(KeyboardInterrupt()), "handler_error", "KeyboardInterrupt", ""),
        (_raise(GeneratorExit()), "handler_error", "GeneratorExit", ""),
        (_raise(OddError()), "handler_error", None, ""),
        (_raise(CodelessError("x")), "handler_error", None, "x"),
        (_raise(_with_code("Bad Code")), "handler_error", None, "Too much."),
        (_raise(asyncio.CancelledError()), "handler_error", "asyncio.exceptions.CancelledError", ""),
        (
            _raise_in_thread(StopIteration()),
            "handler_error",
            "RuntimeError",
            "the function raised StopIteration",
        ),
        (_raise(UnreadableError()), "handler_error", None, "The exception has no readable message."),
        (_raise(TaskFailedError("quota_exceeded", "Too much.")), "quota_exceeded", None, "Too much."),
        (_raise(ValueError("x" * 5_000)), "handler_error", "ValueError", "x" * 1_999 + "…"),
    ],
)
async def test_what_a_handler_raises_is_told(
    nats_url: str, handler: Callable[[Any, Context], Any], code: str, error_type: str | None, message: str
) -> None:
    """Whatever a handler raises fails the attempt with code, type and message, and the processor goes on."""
    app = TaskApp("raising")
    app.task("raise")(handler)
    async with store_side(nats_url) as store, running_processor(nats_url, app, slots=1):
        [item] = await store.dispatch("raise")
        report = await store.report_of(item, Failed)
        [next_item] = await store.dispatch("echo")
        await store.report_of(next_item, Completed)
    assert report.error.code == code
    assert report.error.message == message
    assert error_type is None or report.error.type == error_type


@pytest.mark.parametrize(
    ("error", "code", "is_final", "retry_after_seconds"),
    [
        (RetryLater(90.5), "retry_later", False, 90.5),
        (RetryLater(0, "Busy."), "retry_later", False, 0),
        (GiveUp("No such account."), "gave_up", True, None),
        (InvalidPayloadError("No."), "invalid_payload", True, None),
        (TaskFailedError("quota_exceeded", "Too much."), "quota_exceeded", False, None),
        (TaskFailedError("gone", "Gone.", is_final=True), "gone", True, None),
    ],
)
async def test_what_a_handler_says_of_another_attempt_is_told(
    nats_url: str, error: TaskFailedError, code: str, is_final: bool, retry_after_seconds: float | None
) -> None:
    """Whether another attempt is of use, and when, is the handler's to say; it is no defect that needs a traceback."""
    app = TaskApp("telling")
    app.task("tell")(_raise_in_thread(error))
    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("tell")
        report = await store.report_of(item, Failed)
    assert report.error.code == code
    assert (report.is_final, report.retry_after_seconds, report.traceback) == (is_final, retry_after_seconds, None)


@pytest.mark.parametrize("raising", [_raise, _raise_in_thread])
async def test_a_defect_is_told_with_its_traceback(
    nats_url: str, raising: Callable[[BaseException], Callable[[Any, Context], Any]]
) -> None:
    """The end of the traceback, cut to what can be stored, and nothing of it in the error that everybody sees."""
    app = TaskApp("defective")
    app.task("break")(raising(ValueError("a line\n" * 3_000 + "\x00the end")))
    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("break")
        report = await store.report_of(item, Failed)
    assert report.traceback is not None
    assert len(report.traceback) == MAX_TRACEBACK_CHARS
    assert report.traceback.endswith("a line\n\ufffdthe end\n")
    assert not report.is_final
    assert "Traceback" not in report.error.message


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(float("nan"), id="nan"),
        pytest.param({"deep": [float("-inf")]}, id="infinity"),
        pytest.param("a\x00b", id="nul"),
        pytest.param("\ud800", id="surrogate"),
        pytest.param(2**64, id="65-bits"),
        pytest.param(object(), id="no-json"),
        pytest.param("x" * MAX_RESULT_BYTES, id="too-large"),
    ],
)
async def test_a_result_that_cannot_be_kept_fails_the_attempt(nats_url: str, result: object) -> None:
    """What is no JSON, cannot be stored or is too large ends as `bad_result`."""
    app = TaskApp("bad")

    @app.task("bad")
    async def bad(_payload: Any, _context: Context) -> object:
        return result

    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("bad")
        report = await store.report_of(item, Failed)
        await store.all_acknowledged()
    assert (report.error.code, report.is_final) == ("bad_result", True)


async def test_the_largest_result_is_kept(nats_url: str) -> None:
    """A result of exactly the limit is stored."""
    app = TaskApp("large")

    @app.task("large")
    async def large(_payload: Any, _context: Context) -> str:
        return "x" * (MAX_RESULT_BYTES - 2)

    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("large")
        report = await store.report_of(item, Completed)
    assert len(str(report.result)) == MAX_RESULT_BYTES - 2


async def test_an_unknown_kind_is_given_back(nats_url: str) -> None:
    """A kind without a handler is given back to the store, and its work item acknowledged."""
    async with store_side(nats_url) as store, running_processor(nats_url):
        [item] = await store.dispatch("nobody-knows")
        report = await store.report_of(item, GivenBack)
        await store.all_acknowledged()
    assert report.reason == "unknown_kind"


async def test_a_handler_may_want_to_be_called_later(nats_url: str) -> None:
    """`NotNow` gives the work back, and says when it may come again."""
    app = TaskApp("busy")

    @app.task("busy")
    async def busy(_payload: Any, _context: Context) -> None:
        raise NotNow(12.5)

    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("busy")
        report = await store.report_of(item, GivenBack)
        await store.all_acknowledged()
    assert (report.reason, report.after_seconds) == ("not_now", 12.5)


async def test_what_is_no_work_item_is_dropped(nats_url: str) -> None:
    """A message that cannot be read is terminated, and the next is served."""
    async with store_side(nats_url) as store, running_processor(nats_url, slots=1):
        subject = subjects.work("default", Priority.MEDIUM, "echo", (await store.dispatch("echo"))[0].task_id)
        await store.all_acknowledged()
        await store.publish(OutboundMessage(subject, b"\xff not json", {streams.MESSAGE_ID_HEADER: "x"}))
        [item] = await store.dispatch("echo")
        await store.report_of(item, Completed)
        await store.all_acknowledged()


async def test_a_suspect_starts_only_when_that_is_known(nats_url: str) -> None:
    """The handler of what may have been in a crash is called only after the start is stored."""
    app = TaskApp("late")
    may_end, called = asyncio.Event(), asyncio.Event()

    @app.task("block")
    async def block(_payload: Any, _context: Context) -> None:
        await may_end.wait()

    @app.task("late")
    async def late(_payload: Any, _context: Context) -> None:
        called.set()

    async with (
        store_side(nats_url, is_collecting=False, reports_max_bytes=SMALL_REPORTS_MAX_BYTES) as store,
        running_processor(nats_url, app, slots=1),
    ):
        await store.dispatch("block")
        # The hello, and the start.
        await store.reports_stored(2)
        await store.purge_reports()
        await store.fill_reports()
        [item] = await store.dispatch("late", priority=Priority.LOW, crashes=1)
        may_end.set()
        await store.held(1, Priority.LOW)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(called.wait(), 0.3)
        await store.purge_reports()
        await asyncio.wait_for(called.wait(), 5)
        store.collect()
        await store.report_of(item, Started)
        await store.report_of(item, Completed)
    assert store.types_of(item) == ["started", "completed"]


async def test_progress_is_told_once_a_second_from_any_thread(nats_url: str) -> None:
    """Of progress that is told often, one value a second is reported, the newest, after the start."""
    app = TaskApp("busy")
    may_end = threading.Event()

    @app.task("busy")
    def busy(_payload: Any, context: Context) -> None:
        for step in range(1_000):
            context.progress(step / 1_000, f"step {step}")
        may_end.wait(10)
        context.progress(1)

    async with store_side(nats_url) as store, running_processor(nats_url, app):
        [item] = await store.dispatch("busy")
        report = await store.report_of(item, Progressed)
        may_end.set()
        await store.report_of(item, Completed)
    assert report.progress.message is not None
    types = store.types_of(item)
    assert types[0] == "started"
    assert types.count("progressed") <= 2


async def test_the_same_work_item_redelivered_is_not_executed_twice_at_once(nats_url: str) -> None:
    """A redelivery to the processor that is at work on it is taken as a sign of the old, and acknowledged with it."""
    app = TaskApp("single")
    calls: list[int] = []
    may_end = asyncio.Event()

    @app.task("single")
    async def single(_payload: Any, _context: Context) -> None:
        calls.append(1)
        await may_end.wait()

    # Heartbeats that are far apart let the ack wait of 1 s run out while the handler is at work.
    async with (
        store_side(nats_url, ack_wait_seconds=1) as store,
        running_processor(nats_url, app, work_ack_wait_seconds=3_600),
    ):
        [item] = await store.dispatch("single")
        await eventually(lambda: calls)
        await store.redelivered()
        may_end.set()
        report = await store.report_of(item, Completed)
        await store.all_acknowledged()
    assert calls == [1]
    assert report.delivery == 1


async def test_a_new_dispatch_is_executed_beside_the_old(nats_url: str) -> None:
    """A new dispatch of an attempt has reports of its own, under its own number."""
    async with store_side(nats_url) as store, running_processor(nats_url):
        [item] = await store.dispatch("sleep", {"seconds": 0.3, "steps": 1})
        await store.report_of(item, Started)
        await store.publish(work_message(item.model_copy(update={"dispatch": 2})))
        reports = await eventually(lambda: len(done := store.of(item, Completed)) == 2 and done)
    assert sorted(report.dispatch for report in reports or []) == [1, 2]
