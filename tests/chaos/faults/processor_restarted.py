"""SIGTERM of every processor, one after the other, as in a rollout."""

import asyncio

from tests.chaos.faults.fault import Scene


async def processor_restarted(scene: Scene) -> str:
    """What is under way is finished or given back; no attempt is burned."""
    for processor in scene.stack.processors:
        processor.drain()
        await asyncio.sleep(scene.chance.uniform(0.5, 1.5))
    return "every processor"
