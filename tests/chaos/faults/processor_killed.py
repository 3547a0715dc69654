"""kill -9 of a processor."""

from tests.chaos.faults.fault import Scene


async def processor_killed(scene: Scene) -> str:
    """Whatever it executes has begun, and will not end there."""
    processor = scene.chance.choice(scene.stack.processors)
    await processor.kill()
    return processor.name
