"""What the handlers of each kind declare for tasks that do not say otherwise."""

from collections.abc import Mapping

from taskmill.contracts.reports import Hello
from taskmill.contracts.tasks import KindDefaults
from taskmill.task_store.domain.retries import NO_DEFAULTS


class KindBook:
    """The defaults that are known, and what a batch changes of them.

    Args:
        known: The defaults by kind.
    """

    def __init__(self, known: Mapping[str, KindDefaults]) -> None:
        self._known = known
        self.changed: dict[str, KindDefaults] = {}

    def defaults(self, kind: str) -> KindDefaults:
        """What holds for tasks of a kind."""
        return self.changed.get(kind) or self._known.get(kind, NO_DEFAULTS)

    def declare(self, hello: Hello) -> None:
        """Take over what a processor's handlers declare, or do not any more. Who says it last is right."""
        for kind in hello.kinds:
            defaults = hello.kind_defaults.get(kind, NO_DEFAULTS)
            if defaults != self.defaults(kind):
                self.changed[kind] = defaults
