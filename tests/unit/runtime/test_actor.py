"""Waiting for this or that, whichever comes first."""

import asyncio
from contextlib import suppress

import pytest

from taskmill.runtime.actor import unless_set


async def test_what_ends_first_is_returned() -> None:
    """The event changes nothing when it comes too late."""

    async def answer() -> int:
        return 7

    assert await unless_set(asyncio.Event(), answer()) == 7


async def test_what_is_given_up_has_ended() -> None:
    """It is cancelled, and has cleaned up by the time that its caller goes on."""
    event, is_clean = asyncio.Event(), False
    waited: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def act() -> int:
        nonlocal is_clean
        try:
            event.set()
            return await waited
        finally:
            await asyncio.wait({asyncio.create_task(asyncio.sleep(0))})
            is_clean = True

    assert await unless_set(event, act()) is None
    assert is_clean


async def test_what_swallows_its_cancellation_holds_nobody_up() -> None:
    """It is left behind after a second."""
    event, may_end = asyncio.Event(), asyncio.Event()

    async def act() -> None:
        with suppress(asyncio.CancelledError):
            event.set()
            await may_end.wait()
        await may_end.wait()

    acting = asyncio.create_task(act())
    async with asyncio.timeout(5):
        await unless_set(event, acting)
    assert not acting.done()
    may_end.set()
    await asyncio.wait({acting}, timeout=5)


async def test_what_fails_is_raised() -> None:
    """An error is the caller's to handle, as if it had awaited alone."""

    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await unless_set(asyncio.Event(), fail())


async def test_a_cancelled_caller_leaves_nothing_behind() -> None:
    """What it awaited is cancelled with it."""
    acting = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(unless_set(asyncio.Event(), acting))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting}, timeout=5)
    assert waiting.cancelled()
    assert acting.cancelled()
