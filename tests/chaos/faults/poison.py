"""Tasks that no processor can do: they end it, never return, or return what cannot be stored."""

from tests.chaos.faults.fault import Scene
from tests.chaos.handlers import POISON

_TIMEOUT_SECONDS = 2


async def poison(scene: Scene) -> str:
    """Only these fail, each for its own reason. Until they have, they hurt beside the faults that come after."""
    for kind, code in POISON.items():
        task = {"kind": kind, "priority": "critical", "process": True, "labels": {"fails_with": code}}
        await scene.client.create({**task, "timeout_seconds": _TIMEOUT_SECONDS} if code == "timeout" else task)
    return ", ".join(POISON)
