"""A process dies at a place of its code where a crash matters most."""

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
    "work.acknowledged",
)

_REACHED_WITHIN_SECONDS = 20
_MAX_NTH = 20


def failpoint_faults() -> dict[str, Fault]:
    """One fault for each failpoint."""
    return {f"failpoint {name}": partial(_reach, name) for name in FAILPOINTS}


async def _reach(name: str, scene: Scene) -> str:
    process = scene.chance.choice(_processes(name, scene))
    nth = scene.chance.randint(1, _MAX_NTH)
    if not await process.die_at(name, nth, within_seconds=_REACHED_WITHIN_SECONDS):
        raise FaultMissedError(f"{process.name} did not pass {name} {nth} times")
    return process.name


def _processes(name: str, scene: Scene) -> list[KeptProcess]:
    is_processor = name.startswith(("work.", "report."))
    return list(scene.stack.processors if is_processor else scene.stack.stores)
