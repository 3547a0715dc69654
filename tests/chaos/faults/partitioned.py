"""One edge between two processes is slow, cut or half-open."""

import asyncio

from tests.chaos.faults.fault import Scene

_SLOW_SECONDS = 0.2


async def edge_slow(scene: Scene) -> str:
    """Everything on it takes 0.2 s more in each direction."""
    proxy = scene.chance.choice(scene.stack.proxies)
    proxy.delay(_SLOW_SECONDS)
    await _wait_and_heal(scene)
    return proxy.name


async def edge_cut(scene: Scene) -> str:
    """Its connections break, and no new one is made."""
    proxy = scene.chance.choice(scene.stack.proxies)
    await proxy.cut()
    await _wait_and_heal(scene)
    return proxy.name


async def edge_half_open(scene: Scene) -> str:
    """What is sent arrives and is acted on, but no answer comes back, until all of them come at once."""
    proxy = scene.chance.choice(scene.stack.proxies)
    proxy.half_open()
    await _wait_and_heal(scene)
    return proxy.name


async def _wait_and_heal(scene: Scene) -> None:
    # Some of these are noticed (a probe takes 2 s, a request 4 s), and some pass before anybody has noticed.
    await asyncio.sleep(scene.chance.choice((1, 4, 8)))
    for proxy in scene.stack.proxies:
        proxy.heal()
