"""Who may pull how much: free slots are shared by weight among the lanes that have a backlog."""

from typing import NamedTuple

from taskmill.contracts.status import Priority

PRIORITY_WEIGHTS = {Priority.CRITICAL: 8, Priority.HIGH: 4, Priority.MEDIUM: 2, Priority.LOW: 1}


class Lane(NamedTuple):
    """The tasks of one queue that have the same priority; JetStream has one consumer for each."""

    queue: str
    priority: Priority


class CreditShares:
    """Shares out slots so that, over time, each backlogged lane gets its part, and none is forgotten.

    Queues count the same, whatever waits in them; within a queue, lanes count by `PRIORITY_WEIGHTS`. What a lane was
    due and did not get (a whole slot cannot be split) is kept for the next time: even when slots come free one by
    one, the lane of low priority gets every fifteenth. A lane without a backlog takes no part and saves nothing up.
    """

    def __init__(self) -> None:
        self._shares: dict[Lane, float] = {}
        self._due: dict[Lane, float] = {}

    @property
    def backlogged(self) -> list[Lane]:
        """The lanes that take part."""
        return list(self._due)

    def set_backlogged(self, lane: Lane) -> None:
        """Let a lane take part. Idempotent."""
        if lane not in self._due:
            self._due[lane] = 0.0
            self._recompute()

    def set_idle(self, lane: Lane) -> None:
        """Let a lane take part no longer. Idempotent."""
        if self._due.pop(lane, None) is not None:
            self._recompute()

    def share_out(self, slots: int) -> dict[Lane, int]:
        """Divide slots among the backlogged lanes.

        Args:
            slots: How many there are. Zero or less: none.

        Returns:
            The lanes that get something, with how much. The sum is `slots`, or nothing when no lane is backlogged.
        """
        if slots <= 0 or not self._due:
            return {}
        for lane, share in self._shares.items():
            self._due[lane] += share * slots
        by_due = sorted(self._due, key=self._due.__getitem__, reverse=True)
        grants = dict.fromkeys(by_due, 0)
        remaining = slots
        for lane in by_due:
            grants[lane] = min(remaining, max(0, int(self._due[lane])))
            remaining -= grants[lane]
        by_rest = sorted(by_due, key=lambda lane: self._due[lane] - grants[lane], reverse=True)
        for position in range(remaining):
            grants[by_rest[position % len(by_rest)]] += 1
        for lane, grant in grants.items():
            self._due[lane] -= grant
        return {lane: grant for lane, grant in grants.items() if grant}

    def _recompute(self) -> None:
        queue_weights: dict[str, int] = {}
        for queue, priority in self._due:
            queue_weights[queue] = queue_weights.get(queue, 0) + PRIORITY_WEIGHTS[priority]
        self._shares = {
            lane: PRIORITY_WEIGHTS[lane.priority] / queue_weights[lane.queue] / len(queue_weights) for lane in self._due
        }
