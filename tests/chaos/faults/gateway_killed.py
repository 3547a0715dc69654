"""kill -9 of a gateway."""

from tests.chaos.faults.fault import Scene


async def gateway_killed(scene: Scene) -> str:
    """Clients do not know what became of their requests."""
    gateway = scene.chance.choice(scene.stack.gateways)
    await gateway.kill()
    return gateway.name
