"""Wait for what becomes true, instead of sleeping and hoping."""

import asyncio
import inspect
import reprlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200
_SHORT.maxlist = _SHORT.maxset = _SHORT.maxdict = _SHORT.maxtuple = 10


@overload
async def eventually(
    check: Callable[[], Awaitable[T]], *, within_seconds: float = ..., every_seconds: float = ...
) -> T: ...


@overload
async def eventually(check: Callable[[], T], *, within_seconds: float = ..., every_seconds: float = ...) -> T: ...


async def eventually(
    check: Callable[[], T | Awaitable[T]], *, within_seconds: float = 10, every_seconds: float = 0.02
) -> T:
    """Call `check` until it returns something truthy, and return that.

    Args:
        check: A function, sync or async. An `AssertionError` from it counts as "not yet".
        within_seconds: How long it may take.
        every_seconds: The pause between two calls.

    Raises:
        AssertionError: It did not become true in time; it says what was seen last, and what `check` looked at.
    """
    return await _until(bool, check, within_seconds, every_seconds)


@overload
async def holds(check: Callable[[], Awaitable[T]], *, within_seconds: float = ..., every_seconds: float = ...) -> T: ...


@overload
async def holds(check: Callable[[], T], *, within_seconds: float = ..., every_seconds: float = ...) -> T: ...


async def holds(check: Callable[[], T | Awaitable[T]], *, within_seconds: float = 10, every_seconds: float = 0.02) -> T:
    """Call `check`, which asserts, until all that it asserts holds, and return what it returns; see `eventually`."""
    return await _until(lambda _: True, check, within_seconds, every_seconds)


async def _until(
    is_enough: Callable[[T], bool], check: Callable[[], T | Awaitable[T]], within_seconds: float, every_seconds: float
) -> T:
    seen = "no call of it came back"
    last_failure: AssertionError | None = None
    try:
        async with asyncio.timeout(within_seconds):
            while True:
                try:
                    answer = check()
                    value: T = await answer if inspect.isawaitable(answer) else answer
                except AssertionError as error:
                    seen, last_failure = str(error) or "an assertion without a message", error
                else:
                    if is_enough(value):
                        return value
                    seen, last_failure = f"the last answer was {value!r}", None
                await asyncio.sleep(every_seconds)
    except TimeoutError:
        raise AssertionError(f"not true within {within_seconds} s: {seen}{_surroundings(check)}") from last_failure


def _surroundings(check: Callable[..., Any]) -> str:
    """What a check refers to, in short."""
    if not inspect.isfunction(check):
        return ""
    names = inspect.getclosurevars(check).nonlocals
    return "".join(f"\n  {name} = {_SHORT.repr(value)}" for name, value in names.items())
