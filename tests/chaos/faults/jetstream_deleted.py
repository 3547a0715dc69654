"""JetStream's directory is deleted, and the server started again without it."""

from tests.chaos.faults.fault import Scene


async def jetstream_deleted(scene: Scene) -> str:
    """Every stream, consumer and message is gone: work, reports and events."""
    await scene.stack.restart_nats(without_data=True)
    return scene.stack.nats.name
