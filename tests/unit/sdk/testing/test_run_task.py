"""`run_task` runs handlers as a processor and the store would."""

import asyncio
import os
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
import structlog
from pydantic import BaseModel

from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import AttemptOutcome, LineLevel
from taskmill.sdk import Context, Depends, GiveUp, NotNow, Retry, RetryLater, TaskApp
from taskmill.sdk.testing import NotCompletedError, execution, run_task
from tests.support import own_process


class Resize(BaseModel):
    """What a handler takes."""

    url: str
    width: int


@dataclass
class Resized:
    """What it returns."""

    bytes: int
    at: datetime


class BadImageError(Exception):
    """No attempt would help."""


AT = datetime(2026, 1, 2, tzinfo=UTC)

app = TaskApp("media")


@app.task("resize", queue="media", timeout=60, retry=Retry(attempts=4, base=2, cap=5, give_up=(BadImageError,)))
async def resize(order: Resize, ctx: Context) -> Resized:
    """Say what is asked for, and fail for some widths."""
    ctx.progress(0.5, "half way")
    ctx.log.info("resizing", width=order.width)
    if order.width == 0:
        raise BadImageError("nothing to see")
    if order.width < 0:
        raise ValueError(f"attempt {ctx.attempt}")
    return Resized(order.width * 100, AT)


async def test_a_handler_is_run() -> None:
    """Its payload and its result go through JSON, and what it says is kept."""
    outcome = await run_task(resize, Resize(url="u", width=80))
    assert (outcome.status, outcome.error) == (TaskStatus.COMPLETED, None)
    assert outcome.result == {"bytes": 8_000, "at": "2026-01-02T00:00:00Z"}
    assert outcome.result_as(Resized) == Resized(8_000, AT)
    assert [(it.fraction, it.message) for it in outcome.progress] == [(0.5, "half way")]
    assert [(it.level, it.text) for it in outcome.lines] == [(LineLevel.INFO, "resizing width=80")]
    assert [(it.number, it.outcome) for it in outcome.attempts] == [(1, AttemptOutcome.COMPLETED)]


async def test_failed_attempts_are_repeated() -> None:
    """As its kind declares it, without the waits that it would have had."""
    outcome = await run_task(resize, {"url": "u", "width": -1})
    assert outcome.status is TaskStatus.FAILED
    assert [it.wait_seconds for it in outcome.attempts] == [2, 4, 5, None]
    assert [it.error.message for it in outcome.attempts if it.error] == [f"attempt {n}" for n in range(1, 5)]
    assert outcome.error == outcome.attempts[-1].error
    assert all("ValueError: attempt" in (it.traceback or "") for it in outcome.attempts)
    with pytest.raises(NotCompletedError, match=r"The task is failed: handler_error: attempt 4\n\nTraceback"):
        outcome.result_as(Resized)


@pytest.mark.parametrize(
    ("payload", "code"),
    [({"url": "u", "width": 0}, "handler_error"), ({"url": "u"}, "invalid_payload")],
    ids=["give up", "payload"],
)
async def test_what_is_final_is_not_repeated(payload: Any, code: str) -> None:
    """An exception that it gives up on, and a payload that does not fit."""
    outcome = await run_task(resize, payload)
    assert outcome.error is not None
    assert (outcome.status, outcome.error.code, len(outcome.attempts)) == (TaskStatus.FAILED, code, 1)


async def test_a_task_may_say_otherwise() -> None:
    """How many attempts there are, and the wait that the handler asks for."""
    other = TaskApp("other")

    @other.task("later")
    async def later(_payload: Any, ctx: Context) -> int:
        if ctx.attempt < ctx.attempt_limit:
            raise RetryLater(7)
        return ctx.attempt

    outcome = await run_task(later, attempts=3)
    assert (outcome.result, [it.wait_seconds for it in outcome.attempts]) == (3, [7, 7, None])


async def test_what_the_context_tells() -> None:
    """Of the task, and the same token in all attempts of a run."""
    other = TaskApp("other")

    @other.task("told", queue="q")
    async def told(_payload: Any, ctx: Context) -> list[Any]:
        ctx.log.info(ctx.idempotency_token)
        if ctx.attempt == 2:
            raise ValueError
        return [ctx.title, dict(ctx.labels), ctx.queue, ctx.kind, ctx.run, ctx.attempt, ctx.attempt_limit]

    outcome = await run_task(told, title="T", labels={"a": "b"}, run=2, attempts=2)
    assert outcome.result == ["T", {"a": "b"}, "q", "told", 2, 3, 3]
    assert len({line.text for line in outcome.lines}) == 1
    assert outcome.lines[0].text.endswith(":2")


async def test_an_attempt_sees_its_payload_as_it_was_sent() -> None:
    """Also when the one before has changed what it got."""
    other = TaskApp("other")

    @other.task("change")
    async def change(payload: Any, ctx: Context) -> int:
        payload["seen"].append(ctx.attempt)
        if ctx.attempt == 1:
            raise ValueError
        return len(payload["seen"])

    sent: dict[str, list[int]] = {"seen": []}
    assert (await run_task(change, sent, attempts=2)).result == 1
    assert sent == {"seen": []}


async def test_a_task_that_is_put_off_is_called_again() -> None:
    """That costs no attempt; and one that is put off for ever stays scheduled."""
    other = TaskApp("other")
    calls = iter(range(100))

    @other.task("busy")
    async def busy(free_at: int, _ctx: Context) -> None:
        if next(calls) < free_at:
            raise NotNow(30)

    outcome = await run_task(busy, 2)
    assert (outcome.status, len(outcome.attempts), outcome.put_off_seconds) == (TaskStatus.COMPLETED, 1, (30, 30))
    assert (await run_task(busy, 100, put_offs=3)).status is TaskStatus.SCHEDULED


@pytest.mark.parametrize("is_async", [True, False])
async def test_its_time_is_over(is_async: bool) -> None:
    """The attempt fails with `timeout`, wherever it runs."""
    other, seen = TaskApp("other"), threading.Event()

    @other.task("async")
    async def hang(_payload: Any, _ctx: Context) -> None:
        await asyncio.Event().wait()

    @other.task("sync")
    def hang_in_thread(_payload: Any, ctx: Context) -> None:
        while not ctx.cancelled:
            threading.Event().wait(0.01)
        seen.set()

    outcome = await run_task(hang if is_async else hang_in_thread, timeout=0.05)
    assert outcome.error is not None
    assert (outcome.status, outcome.error.code) == (TaskStatus.FAILED, "timeout")
    assert is_async or await asyncio.to_thread(seen.wait, 5)


async def test_a_task_is_cancelled() -> None:
    """Its handler may clean up; or it completes all the same; and nothing begins once the task is cancelled."""
    other = TaskApp("other")
    cancel = asyncio.Event()

    @other.task("stop")
    async def stop(is_stubborn: bool, ctx: Context) -> str:
        cancel.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ctx.log.warning("cleaning up", cancelled=ctx.cancelled)
            if not is_stubborn:
                raise
        return "done"

    outcome = await run_task(stop, False, cancel=cancel)
    assert (outcome.status, [it.outcome for it in outcome.attempts]) == (
        TaskStatus.CANCELLED,
        [AttemptOutcome.CANCELLED],
    )
    assert [line.text for line in outcome.lines] == ["cleaning up cancelled=True"]
    assert (await run_task(stop, False, cancel=cancel)).attempts == ()
    cancel.clear()
    assert (await run_task(stop, True, cancel=cancel)).result == "done"


async def test_a_cancelled_handler_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """To clean up, or to complete all the same; until its time is over, if that is limited. As in a processor."""
    monkeypatch.setattr(execution, "CANCEL_SECONDS", 0.01)
    other, cancel, may_end = TaskApp("other"), asyncio.Event(), asyncio.Event()

    @other.task("stubborn")
    async def stubborn(does_end: bool, _ctx: Context) -> str:
        cancel.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        if does_end:
            asyncio.get_running_loop().call_later(0.1, may_end.set)
        await may_end.wait()
        return "done"

    assert (await run_task(stubborn, True, cancel=cancel)).result == "done"
    cancel.clear()
    may_end.clear()
    assert (await run_task(stubborn, False, cancel=cancel, timeout=0.02)).status is TaskStatus.CANCELLED


async def test_a_failure_is_the_last_once_the_task_is_cancelled() -> None:
    """As in the store."""
    other = TaskApp("other")
    cancel = asyncio.Event()

    @other.task("fail")
    async def fail(_payload: Any, _ctx: Context) -> None:
        cancel.set()
        raise ValueError

    assert len((await run_task(fail, attempts=5, cancel=cancel)).attempts) == 1


async def test_an_attempt_goes_on_from_a_checkpoint() -> None:
    """That the one before left, or that the test brings."""
    other = TaskApp("other")

    @other.task("count", retry=Retry(attempts=3))
    async def count(_payload: Any, ctx: Context) -> Any:
        done = ctx.checkpoint or [0]
        assert isinstance(done, list)
        ctx.progress(0.1, checkpoint=[*done, ctx.attempt])
        if len(done) < 3:
            raise ValueError
        return done

    outcome = await run_task(count)
    assert (outcome.result, outcome.checkpoint) == ([0, 1, 2], [0, 1, 2, 3])
    assert len(outcome.progress) == 3
    assert (await run_task(count, checkpoint=[7, 8, 9])).result == [7, 8, 9]


async def test_what_a_handler_submits_is_there_once() -> None:
    """However many of its attempts submit it; the first counts."""
    other = TaskApp("other")

    @other.task("parent", retry=Retry(attempts=2))
    async def parent(_payload: Any, ctx: Context) -> Any:
        child = ctx.submit("child", {"attempt": ctx.attempt}, key="one", labels={"a": "b"})
        ctx.submit("child", key=f"of {ctx.attempt}")
        if ctx.attempt == 1:
            raise ValueError
        return child

    outcome = await run_task(parent)
    first, *others = outcome.submitted
    assert (first.kind, first.payload, first.labels) == ("child", {"attempt": 1}, {"a": "b"})
    assert (str(first.id), len(others)) == (outcome.result, 2)


async def test_what_stands_around_a_handler() -> None:
    """The lifespan, unless the test brings a state; middleware and dependencies."""
    steps = []

    @asynccontextmanager
    async def lifespan(_app: TaskApp) -> AsyncIterator[str]:
        steps.append("enter")
        yield "from the lifespan"
        steps.append("leave")

    other = TaskApp("other", lifespan=lifespan)

    @other.middleware
    async def around(ctx: Context, call_next: Callable[[], Awaitable[Any]]) -> Any:
        steps.append(f"before {ctx.attempt}")
        return [await call_next()]

    def state_of(ctx: Context) -> Any:
        return ctx.state

    @other.task("state")
    async def state(_payload: Any, ctx: Context, found: Annotated[str, Depends(state_of)]) -> str:
        ctx.log.debug("found")
        return found

    assert (await run_task(state)).result == ["from the lifespan"]
    assert steps == ["enter", "before 1", "leave"]
    assert (await run_task(state, state="given")).result == ["given"]
    assert steps == ["enter", "before 1", "leave", "before 1"]


async def test_a_process_of_its_own_logs_as_others_do(capfd: pytest.CaptureFixture[str]) -> None:
    """The lines look alike, wherever the handler runs."""

    def here(order: own_process.Order, ctx: Context) -> None:
        ctx.log.info("at work", pid=os.getpid(), number=order.number)

    app.task("logs-here")(here)
    configured = structlog.get_config()
    structlog.reset_defaults()
    try:
        for handler in (here, own_process.double):
            await run_task(handler, {})
            logged = capfd.readouterr().out
            assert re.match(r"\S*\d{4}-\d\d-\d\d \d\d:\d\d:\d\d.* at work ", logged), logged
    finally:
        structlog.configure(**configured)


async def test_a_process_of_its_own() -> None:
    """Is started, used, and ended; what dies there fails the attempt."""
    outcome = await run_task(own_process.double, {"number": 3})
    result: Any = outcome.result
    assert (result["doubled"], result["pid"] != os.getpid()) == (6, True)
    assert outcome.lines[0].text == f"at work pid={result['pid']}"
    failed = await run_task(own_process.end, {"number": 0}, attempts=1)
    assert failed.error is not None
    assert failed.error.code == "process_died"


async def test_threads_end_with_their_task() -> None:
    """A test session may run thousands of tasks."""
    other = TaskApp("other")

    @other.task("where")
    def where(_payload: Any, _ctx: Context) -> int:
        return threading.get_ident()

    before = set(threading.enumerate())
    assert (await run_task(where)).result != threading.get_ident()
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("handler-"):
            await asyncio.to_thread(thread.join, 5)
            assert not thread.is_alive()


@pytest.mark.parametrize(
    ("mode", "result", "code", "calls"),
    [
        ("swallows", None, None, 1),
        ("never", "cached", None, 0),
        ("twice", [1, 2], None, 2),
        ("raises", None, "handler_error", 1),
        ("hides", "hidden", None, 1),
    ],
)
async def test_middleware_has_the_last_word(mode: str, result: object, code: str | None, calls: int) -> None:
    """What it returns is the result, and what it raises is the failure, whatever it does with the handler."""
    other, called = TaskApp("other"), list[int]()

    @other.middleware
    async def middleware(_ctx: Context, call_next: Callable[[], Awaitable[Any]]) -> Any:
        match mode:
            case "swallows":
                await call_next()
                return None
            case "never":
                return "cached"
            case "twice":
                return [await call_next(), await call_next()]
            case "raises":
                await call_next()
                raise ValueError
            case _:
                try:
                    return await call_next()
                except ZeroDivisionError:
                    return "hidden"

    @other.task("k")
    def handle(_payload: Any, _ctx: Context) -> int:
        called.append(1)
        if mode == "hides":
            raise ZeroDivisionError
        return len(called)

    outcome = await run_task(handle)
    assert (outcome.result, outcome.error and outcome.error.code, len(called)) == (result, code, calls)


async def test_middleware_cannot_hide_that_time_is_over() -> None:
    """What it returns instead is dropped."""
    other = TaskApp("other")

    @other.middleware
    async def hide(_ctx: Context, call_next: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await call_next()
        except asyncio.CancelledError:
            return "all is well"

    @other.task("k", timeout=0.05)
    async def endless(_payload: Any, _ctx: Context) -> None:
        await asyncio.Event().wait()

    outcome = await run_task(endless)
    assert outcome.error is not None
    assert (outcome.status, outcome.error.code) == (TaskStatus.FAILED, "timeout")


@pytest.mark.parametrize(("is_late", "calls"), [(False, 0), (True, 1)])
async def test_a_dependency_that_raises_fails_the_attempt(is_late: bool, calls: int) -> None:
    """Before the handler is called, or after it has returned: then its result is none."""
    other, called = TaskApp("other"), list[None]()

    async def broken() -> AsyncIterator[None]:
        if not is_late:
            raise GiveUp("no pool")
        yield
        raise GiveUp("no pool")

    @other.task("k", retry=Retry(attempts=3))
    async def handle(_payload: Any, _ctx: Context, _pool: Annotated[None, Depends(broken)]) -> None:
        called.append(None)

    outcome = await run_task(handle)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.message, len(called)) == ("gave_up", "no pool", calls)


async def test_which_handler() -> None:
    """A function for several kinds, a handler of an app, and what is none."""
    other = TaskApp("other")

    @other.task("one")
    @other.task("two")
    async def kind_of(_payload: Any, ctx: Context) -> str:
        return ctx.kind

    assert (await run_task(kind_of, kind="two")).result == "two"
    assert (await run_task(other.handlers["one"])).result == "one"
    for kind, words in [(None, "say which kind"), ("three", "no handler of 'three'")]:
        with pytest.raises(TypeError, match=words):
            await run_task(kind_of, kind=kind)
    with pytest.raises(TypeError, match="is no handler"):
        await run_task(print)


@pytest.mark.parametrize("arguments", [{"payload": object()}, {"attempts": 101}, {"attempts": 0}, {"timeout": -1}])
async def test_what_no_task_can_be_is_refused(arguments: dict[str, Any]) -> None:
    """As by the gateway."""
    with pytest.raises(ValueError):  # noqa: PT011 -- each says its own
        await run_task(resize, **arguments)


def test_it_needs_no_coroutine() -> None:
    """In a test that is none."""
    other = TaskApp("other")

    @other.task("give-up")
    def give_up(_payload: Any, _ctx: Context) -> None:
        raise GiveUp("no use")

    outcome = asyncio.run(run_task(give_up, attempts=3))
    assert outcome.error is not None
    assert (outcome.error.code, len(outcome.attempts)) == ("gave_up", 1)
