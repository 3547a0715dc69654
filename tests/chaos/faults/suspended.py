"""SIGSTOP: a process is not dead, does nothing, and then goes on as if no time had passed."""

import asyncio
from collections.abc import Sequence

from tests.chaos.faults.fault import Scene
from tests.chaos.processes import KeptProcess
from tests.chaos.stack import ACK_WAIT_SECONDS, LEASE_SECONDS

# Longer than the relay's leadership of 5 s, than a lease and than the ack wait: all are lost to it meanwhile.
_SECONDS = max(ACK_WAIT_SECONDS, LEASE_SECONDS) + 2


async def stores_suspended(scene: Scene) -> str:
    """Every store in turn, so that the relay's leader is one of them: it must not hold on to what it led."""
    return await _suspend(scene.stack.stores)


async def processors_suspended(scene: Scene) -> str:
    """Its work goes to another processor, and then it reports all the same."""
    return await _suspend([scene.chance.choice(scene.stack.processors)])


async def gateway_suspended(scene: Scene) -> str:
    """Clients give up on it, while their requests wait in its sockets."""
    return await _suspend([scene.chance.choice(scene.stack.gateways)])


async def _suspend(processes: Sequence[KeptProcess]) -> str:
    for process in processes:
        process.suspend()
        await asyncio.sleep(_SECONDS)
        process.resume()
    return ", ".join(process.name for process in processes)
