"""A process dies at a place of its code where a crash matters most."""

import asyncio
from collections.abc import Sequence
from functools import partial

from tests.chaos.faults.fault import Fault, FaultMissedError, Scene
from tests.chaos.processes import KeptProcess

FAILPOINTS = (
    "store.before_commit",
    "store.after_commit",
    "store.before_reply",
    "relay.work_published",
    "relay.events_published",
    "reports.applied",
    "work.fetched",
    "work.started",
    "report.before_publish",
    "report.published",
    "work.ack_written",
)

_REACHED_WITHIN_SECONDS = 20
_MAX_NTH = 10


def failpoint_faults() -> dict[str, Fault]:
    """One fault for each failpoint."""
    return {f"failpoint {name}": partial(_reach, name) for name in FAILPOINTS}


async def _reach(name: str, scene: Scene) -> str:
    nth = scene.chance.randint(1, _MAX_NTH)
    processes = {
        asyncio.create_task(process.die_at(name, nth, within_seconds=_REACHED_WITHIN_SECONDS)): process
        for process in _candidates(name, scene)
    }
    done, others = await asyncio.wait(processes, return_when=asyncio.FIRST_COMPLETED)
    for other in others:
        other.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    if not any(task.result() for task in done):
        raise FaultMissedError(f"nobody passed {name} {nth} times")
    return ", ".join(processes[task].name for task in done)


def _candidates(name: str, scene: Scene) -> Sequence[KeptProcess]:
    if name.startswith("relay."):
        # Whoever leads.
        return scene.stack.stores
    is_processor = name.startswith(("work.", "report."))
    return [scene.chance.choice(scene.stack.processors if is_processor else scene.stack.stores)]
