"""How many queues there may be."""

from collections.abc import Iterable

from taskmill.contracts.errors import TooManyQueuesError


class QueueBook:
    """The queues that exist, and those that a batch adds. Each costs four consumers on NATS, so there is a limit.

    Args:
        known: Names of queues that exist.
        limit: How many may exist.
    """

    def __init__(self, known: Iterable[str], limit: int) -> None:
        self._names = set(known)
        self._limit = limit
        self.added: list[str] = []

    def admit(self, names: Iterable[str]) -> None:
        """Let queues exist, all or none.

        Raises:
            TooManyQueuesError: There would be more than the limit.
        """
        missing = sorted(set(names) - self._names)
        if not missing:
            return
        if len(self._names) + len(missing) > self._limit:
            raise TooManyQueuesError(self._limit)
        self._names.update(missing)
        self.added.extend(missing)
