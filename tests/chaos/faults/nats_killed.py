"""kill -9 of nats-server."""

from tests.chaos.faults.fault import Scene


async def nats_killed(scene: Scene) -> str:
    """Connections, outstanding pulls and unsent replies are gone; what JetStream had on disk is not."""
    await scene.stack.restart_nats()
    return scene.stack.nats.name
