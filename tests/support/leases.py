"""A lease without a database."""


class LeaseOf:
    """A lease that one owner may have, and nobody else."""

    def __init__(self, owner: str) -> None:
        self._owner = owner

    async def acquire(self, owner: str, ttl_seconds: float) -> bool:
        """See `LeaseStore`."""
        return owner == self._owner and ttl_seconds > 0

    async def release(self, owner: str) -> None:
        """See `LeaseStore`."""
