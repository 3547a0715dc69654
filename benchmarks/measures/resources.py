"""What Taskmill takes while it has nothing to do."""

import asyncio

from benchmarks.cpu import resident_mb
from benchmarks.measure import Figures, Measure, both_ways, each_alone
from benchmarks.measures.processing import process_singly
from benchmarks.stack import running_stack

_LOAD_SECONDS = 3
_SETTLE_SECONDS = 5
_IDLE_SECONDS = 10


async def _idle(operated: bool) -> Figures:
    async with running_stack(operated=operated) as stack:
        await process_singly(stack, _LOAD_SECONDS)
        await asyncio.sleep(_SETTLE_SECONDS)
        meter = stack.cpu_meter()
        await asyncio.sleep(_IDLE_SECONDS)
        used = meter.read()
        percent = {name: seconds / used.seconds * 100 for name, seconds in used.by_process.items()}
        return {
            "cpu_percent_of_the_busiest": max(percent.values()),
            **{f"cpu_percent_{name}": value for name, value in percent.items()},
            **{f"rss_mb_{name}": resident_mb(pid) for name, pid in stack.pids.items()},
        }


MEASURES = (
    Measure(
        "idle",
        f"After {_LOAD_SECONDS} s of load and {_SETTLE_SECONDS} s of rest: CPU of each process over "
        f"{_IDLE_SECONDS} s, in percent of one core, and its resident memory.",
        each_alone(both_ways(_idle)),
    ),
)
