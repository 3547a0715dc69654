"""Wait for what becomes true."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from benchmarks.errors import MeasurementError


async def eventually(
    check: Callable[[], bool | Awaitable[bool]], *, within_seconds: float, every_seconds: float = 0.05
) -> None:
    """Call `check` until it says yes.

    Raises:
        MeasurementError: It did not in time.
    """
    try:
        async with asyncio.timeout(within_seconds):
            while True:
                answer = check()
                if await answer if inspect.isawaitable(answer) else answer:
                    return
                await asyncio.sleep(every_seconds)
    except TimeoutError:
        raise MeasurementError(f"what was waited for did not come within {within_seconds:g} s") from None
