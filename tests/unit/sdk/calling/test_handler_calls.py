"""Calls are cancelled; threads are not."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from taskmill.processor.domain.held_attempt import HeldAttempt
from taskmill.runtime.clock import utc_now
from taskmill.sdk import Context, TaskApp
from taskmill.sdk.calling.attempt import StopReason
from taskmill.sdk.calling.handler_calls import HandlerCalls
from tests.unit.processor.builders import new_attempt


def new_calls(*, on_thread_ended: Callable[[HeldAttempt], None] = lambda _attempt: None) -> HandlerCalls[HeldAttempt]:
    """Calls without time limits."""
    return HandlerCalls(utc_now, lambda *_: None, lambda _attempt: None, on_thread_ended)


async def test_a_thread_that_is_given_up_is_counted_until_it_ends() -> None:
    """The call ends at once; its thread is still there."""
    app, may_end, ended, attempt = TaskApp("a"), threading.Event(), asyncio.Event(), new_attempt()
    is_called = threading.Event()

    @app.task("wait")
    def wait(_payload: Any, _context: Context) -> None:
        is_called.set()
        may_end.wait(10)

    calls = new_calls(on_thread_ended=lambda of: ended.set() if of is attempt else None)
    call = asyncio.create_task(calls.call(app.handlers["wait"], attempt))
    assert await asyncio.to_thread(is_called.wait, 5)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (calls.given_up_count, calls.goes_on(attempt), ended.is_set()) == (1, True, False)
    may_end.set()
    await asyncio.wait_for(ended.wait(), 5)
    assert (calls.given_up_count, calls.goes_on(attempt)) == (0, False)


async def test_middleware_may_leave_several_threads() -> None:
    """The attempt goes on until the last one has ended."""
    app, may_end, ended, attempt = TaskApp("a"), [threading.Event(), threading.Event()], asyncio.Event(), new_attempt()
    called = [threading.Event(), threading.Event()]
    numbers = iter(range(2))

    @app.middleware
    async def twice(_context: Context, call_next: Callable[[], Awaitable[Any]]) -> Any:
        return await asyncio.gather(call_next(), call_next())

    @app.task("wait")
    def wait(_payload: Any, _context: Context) -> None:
        number = next(numbers)
        called[number].set()
        may_end[number].wait(10)

    calls = new_calls(on_thread_ended=lambda _: ended.set())
    call = asyncio.create_task(calls.call(app.handlers["wait"], attempt))
    for one in called:
        assert await asyncio.to_thread(one.wait, 5)
    call.cancel()
    await asyncio.wait({call})
    may_end[0].set()
    await asyncio.wait_for(ended.wait(), 5)
    assert (calls.given_up_count, calls.goes_on(attempt)) == (1, True)
    ended.clear()
    may_end[1].set()
    await asyncio.wait_for(ended.wait(), 5)
    assert (calls.given_up_count, calls.goes_on(attempt)) == (0, False)


async def test_of_many_wishes_for_more_time_the_newest_counts() -> None:
    """However many there are, the loop is told of them together; once the handler is stopped there are none."""
    app, attempt = TaskApp("a"), new_attempt()
    told: list[Any] = []
    attempt.allowed_seconds = 50
    attempt.started_at = utc_now()

    @app.task("wish")
    async def wish(_payload: Any, context: Context) -> None:
        before = len(asyncio.get_running_loop()._ready)  # type: ignore[attr-defined]
        for _ in range(10_000):
            context.extend(1)
        context.extend(700)
        told.append(len(asyncio.get_running_loop()._ready) - before)  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        told.append(attempt.allowed_seconds)
        attempt.stop_reason = StopReason.CANCELLED
        deadline = context.deadline
        context.extend(5_000)
        await asyncio.sleep(0)
        told.extend([context.deadline == deadline, attempt.allowed_seconds])

    await new_calls().call(app.handlers["wish"], attempt)
    scheduled, allowed, is_unmoved, allowed_later = told
    assert scheduled == 1
    assert allowed == pytest.approx(700, abs=5)
    assert (is_unmoved, allowed_later) == (True, allowed)


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_handler_that_cancels_itself_leaves_no_thread(is_async: bool) -> None:
    """What it raises reaches who called."""
    app = TaskApp("a")

    @app.task("async")
    async def cancel(_payload: Any, _context: Context) -> None:
        raise asyncio.CancelledError

    @app.task("sync")
    def cancel_in_thread(_payload: Any, _context: Context) -> None:
        raise asyncio.CancelledError

    calls = new_calls()
    with pytest.raises(asyncio.CancelledError):
        await calls.call(app.handlers["async" if is_async else "sync"], new_attempt())
    assert calls.given_up_count == 0
