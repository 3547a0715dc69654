"""What a fault is."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.chaos.client import Client
from tests.chaos.stack import ChaosStack


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault may touch.

    Attributes:
        stack: The system under test.
        client: Posts what belongs to the fault.
        chance: Its source of randomness.
    """

    stack: ChaosStack
    client: Client
    chance: random.Random


Fault = Callable[[Scene], Awaitable[str]]
"""Inflicts a fault, undoes it, and returns what it was inflicted on, or raises `FaultMissedError`."""


class FaultMissedError(Exception):
    """A fault did not happen: the run does not show what it should."""
