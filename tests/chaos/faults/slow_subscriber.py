"""A subscriber that asks for every event and reads none."""

import asyncio

from taskmill.cli.embedded.ports import LOOPBACK
from taskmill.contracts.subjects import EVENT_SUBJECTS
from tests.chaos.faults.fault import Scene

_SECONDS = 4


async def slow_subscriber(scene: Scene) -> str:
    """The server keeps what it does not read, and in the end drops it; nobody else waits for it."""
    # With so small a buffer asyncio stops reading after the first chunk.
    _, writer = await asyncio.open_connection(LOOPBACK, scene.stack.nats.port, limit=1)
    try:
        writer.write(f'CONNECT {{"verbose":false}}\r\nSUB {EVENT_SUBJECTS} 1\r\n'.encode())
        await asyncio.sleep(_SECONDS)
    finally:
        writer.transport.abort()
    return EVENT_SUBJECTS
