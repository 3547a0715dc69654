"""What a measure is: contenders that do the same thing in turn."""

import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial

Figures = Mapping[str, float]
"""What one sample showed, such as `{"per_second": 812.5, "p50_ms": 71.0}`. The unit is in the name."""

Sampler = Callable[[], Awaitable[Figures]]
"""Sets a contender up, measures it once, and stops it."""

Contenders = Mapping[str, Sampler]

TASKMILL = "taskmill"
"""As `make run` starts it."""

OPERATED = "taskmill, operated"
"""The same as it is put to use: whoever asks needs an API key, and every process tells metrics, which are read."""

FASTAPI = "fastapi"
STARLETTE = "starlette"

ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Measure:
    """One small measure, a line or several of the table.

    Attributes:
        name: By which it is asked for, and found in the results.
        about: What is done, in a sentence or two.
        prepare: Makes the contenders ready to be sampled in turn; what they share is there meanwhile.
    """

    name: str
    about: str
    prepare: Callable[[], AbstractAsyncContextManager[Contenders]]


def both_ways(sample: Callable[[bool], Awaitable[Figures]]) -> Contenders:
    """Taskmill as `make run` starts it, and as it is put to use.

    Args:
        sample: Takes whether it is operated.
    """
    return {TASKMILL: partial(sample, False), OPERATED: partial(sample, True)}


def each_alone(contenders: Contenders) -> Callable[[], AbstractAsyncContextManager[Contenders]]:
    """What to prepare for contenders that share nothing: each is started for a sample, and stopped after it."""

    @asynccontextmanager
    async def prepare() -> AsyncIterator[Contenders]:
        yield contenders

    return prepare


def latency_figures(milliseconds: Sequence[float]) -> Figures:
    """The median and the 99th percentile of at least two times."""
    return {
        "p50_ms": statistics.median(milliseconds),
        "p99_ms": statistics.quantiles(milliseconds, n=100, method="inclusive")[98],
    }
