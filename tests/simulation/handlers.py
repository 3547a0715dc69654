"""What handlers of each kind do: how long it takes, and how it ends."""

from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

from taskmill.contracts.tasks import KindDefaults, Progress, RetryBackoff, TaskError
from taskmill.contracts.work import WorkItem

_BACKOFF = RetryBackoff(base_seconds=0.5, factor=2, cap_seconds=2, jitter=0.5)

KIND_DEFAULTS = {
    "steady": KindDefaults(),
    "slow": KindDefaults(),
    "rare": KindDefaults(),
    "flaky": KindDefaults(max_attempts=3, backoff=_BACKOFF),
    "hopeless": KindDefaults(max_attempts=2, backoff=_BACKOFF),
    "poison": KindDefaults(),
}
"""steady, slow and rare complete; rare is unknown to some processors; flaky completes at its last attempt, and
wants to be called later now and then; hopeless never completes, and poison ends its processor."""

WRITE_AT_ONCE = {"steady"}
"""The kinds whose handlers write a line when they begin. Others write some when they tell progress."""

FAILS_WITH = {"hopeless": "handler_error", "poison": "crash_loop"}

_ERROR = TaskError(code="handler_error", type="ValueError", message="no")


class Ending(NamedTuple):
    """How an execution ends, unless it is stopped.

    Attributes:
        failure: What a report `failed` holds beside fence and times; None: it completes.
        ignores_stop: Whether it goes on to its end although it is stopped.
        is_deadly: Whether its processor ends before it does.
        puts_off_seconds: In how many seconds it wants to be called again, as if it had not been; None: it does not.
    """

    failure: dict[str, Any] | None
    ignores_stop: bool
    is_deadly: bool
    puts_off_seconds: float | None = None


def ending_of(random: Random, work_item: WorkItem) -> Ending:
    """Decide how an execution will end."""
    kind = work_item.kind
    if kind == "flaky" and random.random() < 0.2:
        return Ending(None, ignores_stop=False, is_deadly=False, puts_off_seconds=random.choice([0.0, 0.3]))
    fails = kind == "hopeless" or (kind == "flaky" and work_item.attempt < work_item.attempt_limit)
    failure = None
    if fails:
        retry_after = random.choice([None, None, 0.2, 1.5])
        is_final = kind == "hopeless" and random.random() < 0.3
        failure = {"error": _ERROR, "is_final": is_final, "retry_after_seconds": retry_after}
    return Ending(failure, ignores_stop=random.random() < 0.2, is_deadly=kind == "poison")


def steps_of(random: Random, kind: str) -> Iterator[tuple[float, Progress | None]]:
    """The parts of an execution: how many seconds each takes, and the progress that is told after it."""
    if kind == "poison":
        yield random.uniform(0.01, 0.2), None
    elif kind == "slow":
        for number in range(random.randrange(2, 7)):
            yield 1.0, Progress(fraction=number / 10)
    else:
        yield random.choice([0.005, 0.015, 0.4, 1.5]), None
