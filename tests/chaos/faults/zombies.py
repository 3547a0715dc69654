"""A processor that works but sends no heartbeat: what it holds is given to others while it goes on."""

import asyncio

from tests.chaos.faults.fault import Scene
from tests.chaos.stack import ACK_WAIT_SECONDS

_TASKS = 40


async def zombies(scene: Scene) -> str:
    """Tasks longer than the ack wait are executed twice, and only one of the two reports may count."""
    zombie = scene.stack.zombie()
    zombie.start()
    try:
        await asyncio.sleep(ACK_WAIT_SECONDS)
        seconds = 1.5 * ACK_WAIT_SECONDS
        task = {"kind": "chaos-work", "priority": "critical", "payload": {"seconds": seconds}, "process": True}
        await scene.client.create_many([task] * _TASKS)
        await asyncio.sleep(1.5 * seconds)
    finally:
        await zombie.stop()
    return zombie.name
