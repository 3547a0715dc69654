"""What the store that leads does again and again."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable

import structlog

from taskmill.contracts.errors import TaskmillError
from taskmill.runtime.actor import Actor, is_set_within, unless_set
from taskmill.runtime.errors import JetStreamError
from taskmill.runtime.leadership import Leadership

_log = structlog.get_logger(__name__)


class LeaderDuty(Actor):
    """Base of the duties of the store that leads the relay: each has a name, and says in `work` what is done.

    It begins as soon as the store leads, and goes on after each pause for as long as it does. When something that it
    needs is away, it is postponed. The statement of a small duty may stand in its module; where there are several, or
    rows mean something, an adapter has them.

    Args:
        leadership: Says whether this store leads.
        interval_seconds: The pause, unless `work` says another.
        woken: Set by whoever knows that there is something to do, to end the pause.
    """

    def __init__(self, leadership: Leadership, *, interval_seconds: float, woken: asyncio.Event | None = None) -> None:
        self._leadership = leadership
        self._interval_seconds = interval_seconds
        self._woken = woken or asyncio.Event()

    @abstractmethod
    async def work(self) -> float | None:
        """Do what is to be done now.

        Returns:
            In how many seconds to go on; None: after the interval.

        Raises:
            TaskmillError: Something is away; it is tried again after the interval.
            JetStreamError: The same.
        """

    def stop(self) -> None:
        """Begin the drain: what is in hand is finished."""
        super().stop()
        self._woken.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Work again and again until stopped."""
        started()
        while not self._stop_requested.is_set():
            self._woken.clear()
            if self._leadership.is_leader:
                await is_set_within(self._woken, await self._seconds_after_work())
            else:
                await unless_set(self._stop_requested, self._leadership.wait_until_leader())

    async def _seconds_after_work(self) -> float:
        try:
            seconds = await self.work()
        except (TaskmillError, JetStreamError) as error:
            _log.warning("duty.postponed", actor=self.name, error=str(error))
            seconds = None
        return self._interval_seconds if seconds is None else seconds
