"""Wait for what becomes true, instead of sleeping and hoping."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")


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
        AssertionError: It did not become true in time; its last own `AssertionError` is the cause.
    """
    last_failure: AssertionError | None = None
    value: T | None = None
    try:
        async with asyncio.timeout(within_seconds):
            while True:
                try:
                    answer = check()
                    value = await answer if inspect.isawaitable(answer) else answer
                    last_failure = None
                except AssertionError as error:
                    last_failure = error
                else:
                    if value:
                        return value
                await asyncio.sleep(every_seconds)
    except TimeoutError:
        reason = last_failure or f"the last answer was {value!r}"
        raise AssertionError(f"not true within {within_seconds} s: {reason}") from last_failure
