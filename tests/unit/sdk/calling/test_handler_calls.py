"""Calls are cancelled; threads are not."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from taskmill.processor.domain.held_attempt import HeldAttempt
from taskmill.runtime.clock import utc_now
from taskmill.sdk import Context, TaskApp
from taskmill.sdk.calling.handler_calls import HandlerCalls
from tests.unit.processor.builders import new_attempt


def new_calls(*, on_thread_ended: Callable[[], None] = lambda: None) -> HandlerCalls[HeldAttempt]:
    """Calls without time limits."""
    return HandlerCalls(utc_now, lambda *_: None, lambda _attempt: None, on_thread_ended)


async def test_a_thread_that_is_given_up_is_counted_until_it_ends() -> None:
    """The call ends at once; its thread is still there."""
    app, may_end, ended = TaskApp("a"), threading.Event(), asyncio.Event()
    is_called = threading.Event()

    @app.task("wait")
    def wait(_payload: Any, _context: Context) -> None:
        is_called.set()
        may_end.wait(10)

    calls = new_calls(on_thread_ended=ended.set)
    call = asyncio.create_task(calls.call(app.handlers["wait"], new_attempt()))
    assert await asyncio.to_thread(is_called.wait, 5)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (calls.given_up_count, ended.is_set()) == (1, False)
    may_end.set()
    await asyncio.wait_for(ended.wait(), 5)
    assert calls.given_up_count == 0


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
