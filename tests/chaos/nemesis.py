"""The nemesis: inflicts the faults of a plan one after the other, and writes down what it did."""

import asyncio
import random
import time
from collections.abc import Callable

from tests.chaos.checker.history import FaultWindow
from tests.chaos.client import Client
from tests.chaos.faults.catalogue import all_faults
from tests.chaos.faults.fault import FaultMissedError, Scene
from tests.chaos.plan import Plan
from tests.chaos.stack import ChaosStack

_BUSY_WITHIN_SECONDS = 30


class Nemesis:
    """Inflicts every fault of a plan, in an order that follows from the seed.

    Args:
        stack: The system under test.
        plan: Says which faults, and how busy the system must be before each.
        seed: Decides the order, the targets and the pauses.
        client: Posts poison.
        record: Takes what was done.
    """

    def __init__(
        self, stack: ChaosStack, plan: Plan, *, seed: int, client: Client, record: Callable[[FaultWindow], None]
    ) -> None:
        self._stack = stack
        self._plan = plan
        self._chance = random.Random(f"{seed}-nemesis")
        self._scene = Scene(stack, client, self._chance)
        self._record = record

    async def run(self) -> None:
        """Inflict them all, one soon after the other: often the next comes before everything has recovered."""
        catalogue = all_faults()
        names = [name for name, times in self._plan.faults.items() for _ in range(times)]
        self._chance.shuffle(names)
        # Poison hurts for a minute beside the others: it comes first, so that the drain need not wait for it.
        names.sort(key=lambda name: name != "poison")
        for name in names:
            in_progress = await self._wait_until_busy()
            started_at = time.time()
            target, missed = "", None
            try:
                target = await catalogue[name](self._scene)
            except FaultMissedError as error:
                missed = str(error)
            self._record(FaultWindow(name, target, started_at, time.time(), in_progress, missed))
            await asyncio.sleep(self._plan.max_pause_seconds * self._chance.uniform(0.25, 1))

    async def _wait_until_busy(self) -> int | None:
        deadline = time.monotonic() + _BUSY_WITHIN_SECONDS
        in_progress = await self._stack.in_progress()
        while (in_progress or 0) < self._plan.in_progress and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
            in_progress = await self._stack.in_progress()
        return in_progress
