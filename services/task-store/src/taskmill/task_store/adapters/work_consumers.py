"""The consumers that processors pull work from: four for each queue, one for each priority."""

from collections.abc import Awaitable, Callable

from taskmill.contracts.status import Priority
from taskmill.contracts.streams import WORK_STREAM, work_consumer, work_consumer_name
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.provisioning import delete_consumer, ensure_consumer


class WorkConsumers:
    """Makes a queue's consumers exist, once for each connection: a server that was replaced has none.

    Args:
        ack_wait_seconds: How long a processor may say nothing of a work item before it is delivered again.
        is_paused: Whether a queue is paused: its consumers are made so, for they may be new, and work may be there.
    """

    def __init__(
        self, session: NatsSession, *, ack_wait_seconds: float, is_paused: Callable[[str], Awaitable[bool]]
    ) -> None:
        self._is_paused = is_paused
        self._session = session
        self._ack_wait_seconds = ack_wait_seconds
        self._ensured: set[str] = set()
        self._forgotten: set[str] = set()
        session.on_reconnect(self.forget)

    def forget(self) -> None:
        """Take it that the consumers are gone, as they are with their stream."""
        self._forgotten |= self._ensured
        self._ensured.clear()

    async def renew(self) -> None:
        """Make those exist again that were forgotten. Work may wait for them that is not published again.

        Raises:
            UnavailableError: JetStream or PostgreSQL cannot be reached.
            JetStreamError: It refuses.
        """
        while self._forgotten:
            await self.ensure(next(iter(self._forgotten)))

    async def ensure_again(self, queue: str) -> None:
        """Make a queue's consumers exist though they seemed to: one is gone. Raises as `ensure`."""
        self._ensured.discard(queue)
        await self.ensure(queue)

    async def remove(self, queue: str) -> None:
        """Delete the consumers of a queue that is forgotten. Raises what `ensure` does."""
        self._ensured.discard(queue)
        self._forgotten.discard(queue)
        for priority in Priority:
            await delete_consumer(self._session, WORK_STREAM, work_consumer_name(queue, priority))

    async def ensure(self, queue: str) -> None:
        """Make a queue's consumers exist. Idempotent, and free after the first time.

        Raises:
            UnavailableError: JetStream or PostgreSQL cannot be reached.
            JetStreamError: It refuses.
        """
        if queue in self._ensured:
            return
        is_paused = await self._is_paused(queue)
        for priority in Priority:
            spec = work_consumer(queue, priority, self._ack_wait_seconds, is_paused=is_paused)
            await ensure_consumer(self._session, spec)
        self._ensured.add(queue)
        self._forgotten.discard(queue)
