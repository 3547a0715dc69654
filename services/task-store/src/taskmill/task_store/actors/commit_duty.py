"""What the store that leads does after commits."""

import asyncio
from collections.abc import Callable

from taskmill.contracts import subjects
from taskmill.runtime.leadership import Leadership
from taskmill.runtime.nats_session import NatsSession
from taskmill.task_store.actors.leader_duty import LeaderDuty

LOOK_INTERVAL_SECONDS = 1
"""A commit wakes the duty; this is for what another store made, of which this one has not heard."""

WAKE_DELAY_SECONDS = 0.03
"""How long after a commit the duty looks: commits of that time are looked at together, and a busy log is not read for
each of them."""


class CommitBell:
    """Wakes the duty soon after a commit, as long as anything may come of it: otherwise a commit costs nothing.

    Attributes:
        woken: What the duty waits for.
        is_heard: Whether anything may come of a commit; the duty says so.
    """

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        self.is_heard = False
        self._timer: asyncio.TimerHandle | None = None

    def ring(self, *_about: object) -> None:
        """Say that events were committed."""
        if self.is_heard and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WAKE_DELAY_SECONDS, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.woken.set()


class CommitDuty(LeaderDuty):
    """Base of the duties that follow the log: a commit of any store ends the pause.

    Args:
        session: Where a store that does not lead says that it has committed.
        leadership: Says whether this store leads.
        bell: Rung after each commit of this store.
    """

    def __init__(self, session: NatsSession, leadership: Leadership, bell: CommitBell) -> None:
        super().__init__(leadership, interval_seconds=LOOK_INTERVAL_SECONDS, woken=bell.woken)
        self._session = session
        self._bell = bell

    async def run(self, started: Callable[[], None]) -> None:
        """Work again and again until stopped."""
        subscription = self._session.subscribe(subjects.RELAY_WAKE_SUBJECT, self._bell.ring)
        try:
            await super().run(started)
        finally:
            self._session.unsubscribe(subscription)
