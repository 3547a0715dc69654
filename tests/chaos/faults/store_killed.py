"""kill -9 of a task store."""

from tests.chaos.faults.fault import Scene


async def store_killed(scene: Scene) -> str:
    """Requests, reports and the relay's publishing break off anywhere."""
    store = scene.chance.choice(scene.stack.stores)
    await store.kill()
    return store.name
