"""What the built-in kinds reach beyond their process."""

from typing import NamedTuple

from taskmill.processor.adapters.guarded_http import GuardedHttp
from taskmill.processor.adapters.store import Store


class Outside(NamedTuple):
    """What a kind is registered with."""

    http: GuardedHttp
    """What kinds that send requests send them with."""
    store: Store
    """The task store."""
    slots: int
    """How many handlers the processor executes at once."""
