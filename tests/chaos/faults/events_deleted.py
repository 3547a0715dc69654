"""TASK_EVENTS alone is deleted."""

import nats

from taskmill.contracts.streams import EVENTS_STREAM
from tests.chaos.faults.fault import Scene


async def events_deleted(scene: Scene) -> str:
    """The history that subscribers follow is gone, while work and reports go on."""
    connection = await nats.connect(scene.stack.nats.url)
    try:
        await connection.jetstream().delete_stream(EVENTS_STREAM)
    finally:
        await connection.close()
    return EVENTS_STREAM
