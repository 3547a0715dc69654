"""kill -9 of the gateway."""

from tests.chaos.faults.fault import Scene


async def gateway_killed(scene: Scene) -> str:
    """Clients do not know what became of their requests."""
    await scene.stack.gateway.kill()
    return scene.stack.gateway.name
