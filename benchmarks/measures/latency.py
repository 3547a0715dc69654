"""How soon a task is done: on an idle system, and at half of the highest rate."""

import asyncio
import time
from contextlib import closing

from benchmarks.measure import Figures, Measure, both_ways, each_alone, latency_figures
from benchmarks.measures.processing import process_singly
from benchmarks.measures.steady_load import completion_times
from benchmarks.peers.catalogue import CELERY
from benchmarks.peers.peer import peer_sampler
from benchmarks.stack import RunningStack, running_stack

_IDLE_TASKS = 300
_WARM_UP_TASKS = 50
_POLL_SECONDS = 0.001
_PAUSE_SECONDS = 0.02
_GIVE_UP_SECONDS = 30

_RATE_SECONDS = 4
_STEADY_SECONDS = 15


async def _alone(operated: bool) -> Figures:
    async with running_stack(operated=operated) as stack:
        times = await asyncio.to_thread(_times_of_single_tasks, stack)
    return latency_figures(times[_WARM_UP_TASKS:])


def _times_of_single_tasks(stack: RunningStack) -> list[float]:
    milliseconds = []
    with closing(stack.client()) as client:
        for number in range(_WARM_UP_TASKS + _IDLE_TASKS):
            began_at = time.monotonic()
            task_id = client.post({"title": f"Idle {number}"})
            while not client.is_completed(task_id):
                if time.monotonic() > began_at + _GIVE_UP_SECONDS:
                    raise TimeoutError(f"task {task_id} is not completed")
                time.sleep(_POLL_SECONDS)
            milliseconds.append((time.monotonic() - began_at) * 1000)
            time.sleep(_PAUSE_SECONDS)
    return milliseconds


async def _half_rate(operated: bool) -> Figures:
    async with running_stack(operated=operated) as stack:
        highest = await process_singly(stack, _RATE_SECONDS)
        rate = highest["per_second"] / 2
        times = await completion_times(stack, rate=rate, seconds=_STEADY_SECONDS)
    return {"per_second": rate, **latency_figures(times)}


MEASURES = (
    Measure(
        "idle-latency",
        f"{_IDLE_TASKS} tasks one by one, 20 ms apart: from before the POST with `process` until a GET, repeated "
        "every millisecond, sees it completed. Celery's client polls the state of the result alike.",
        each_alone({CELERY.name: peer_sampler(CELERY, "latency"), **both_ways(_alone)}),
    ),
    Measure(
        "half-rate",
        f"The highest rate is measured for {_RATE_SECONDS} s; then half of it is kept up for {_STEADY_SECONDS} s, "
        "each POST at its own moment whatever came before. From that moment until a subscriber on NATS has the "
        "`completed` event, which is published after the commit.",
        each_alone(both_ways(_half_rate)),
    ),
)
