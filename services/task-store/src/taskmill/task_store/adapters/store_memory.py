"""What a store remembers of queues, kinds and processors, so that it need not read them for every request."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence

from asyncpg import Connection, Record

from taskmill.contracts.tasks import KindDefaults
from taskmill.runtime.clock import Clock
from taskmill.task_store.adapters import statements
from taskmill.task_store.adapters.database import SharedConnections
from taskmill.task_store.adapters.processor_rows import living_services
from taskmill.task_store.adapters.queued_memory import QueuedMemory
from taskmill.task_store.adapters.rows import kind_defaults
from taskmill.task_store.adapters.turn_rows import read_limits
from taskmill.task_store.domain.turns import NO_LIMITS
from taskmill.task_store.domain.waiting import ServedWork, Service, with_service

REFRESH_SECONDS = 1
"""How long a store goes on with what it knew of queues, kinds, limits and processors when another one knows better."""

_Learnt = tuple[Collection[str], Mapping[str, KindDefaults], Mapping[str, ServedWork | None]]


class StoreMemory:
    """The queues, with how many tasks wait in each, which are paused, kinds' defaults, limits, and what processors do.

    And tasks that have just been queued. All writers and readers of a store share it. How many tasks wait in a queue
    may have changed since, and it may have been forgotten; the statement that writes looks again.
    """

    def __init__(self, connections: SharedConnections, now: Clock) -> None:
        self._connections = connections
        self._now = now
        self._reading = asyncio.Lock()
        self.queues: dict[str, int] = {}
        self.kinds: dict[str, KindDefaults] = {}
        self.services: list[ServedWork] = []
        self.paused: frozenset[str] = frozenset()
        self.limits = NO_LIMITS
        self.queued = QueuedMemory()
        self._expires_at = 0.0
        self._doubts = self._queue_reads = 0
        self._learnt_meanwhile: list[_Learnt] | None = None
        """What was noted while all is being read, which may be older; None: it is not."""

    def knows_queue(self, name: str) -> bool:
        """Whether a queue exists for certain: after a batch that named it, whether it exists."""
        return name in self.queues

    async def read_queues(self, connection: "Connection[Record]") -> None:
        """Read the queues anew. Under the lock of the event log, nobody changes them meanwhile."""
        rows = await connection.fetch(statements.QUEUES)
        self._queue_reads += 1
        self._know(rows)

    async def known(self) -> Service:
        """See `ServiceReads`."""
        await self.refresh()
        return Service(self.services, self.paused)

    async def refresh(self) -> None:
        """Read kinds, processors, limits and pauses anew if that is some time ago.

        Raises:
            DatabaseUnavailableError: PostgreSQL is away.
        """
        if time.monotonic() < self._expires_at:
            return
        async with self._reading:
            while time.monotonic() >= self._expires_at:
                await self._read()

    async def _read(self) -> None:
        doubts, queue_reads = self._doubts, self._queue_reads
        learnt: list[_Learnt] = []
        self._learnt_meanwhile = learnt
        try:
            kinds, services, limits, queues = await asyncio.gather(
                self._connections.fetch(statements.KINDS),
                living_services(self._connections, self._now()),
                read_limits(self._connections),
                self._connections.fetch(statements.QUEUES),
            )
        finally:
            self._learnt_meanwhile = None
        if doubts != self._doubts:
            return
        self.kinds = {name: kind_defaults(*declared) for name, *declared in kinds}
        self.services, self.limits = services, limits
        if queue_reads == self._queue_reads:  # otherwise they are older than what is known
            self._know(queues)
        # Not read once more for it: where many processors say hello, that would go on and on.
        for noted in learnt:
            self._learn(*noted)
        self._expires_at = time.monotonic() + REFRESH_SECONDS

    def doubt(self) -> None:
        """See `ServiceReads`; the next batch is decided by what is read then, too."""
        self._expires_at = 0.0
        self._doubts += 1

    def _know(self, queues: "Sequence[Record]") -> None:
        self.queues = {row["name"]: row["waiting"] for row in queues}
        self.paused = frozenset(row["name"] for row in queues if row["is_paused"])

    def note_service(self, service: ServedWork) -> None:
        """Remember what a processor does that has just said so, until all are read anew."""
        self.note((), {}, {service.processor_id: service})

    def note(
        self, queues: Collection[str], kinds: Mapping[str, KindDefaults], services: Mapping[str, ServedWork | None]
    ) -> None:
        """Remember queues that were added, what kinds declare since, and what processors say that they do."""
        if not (queues or kinds or services):
            return
        self._learn(queues, kinds, services)
        if self._learnt_meanwhile is not None:
            self._learnt_meanwhile.append((queues, kinds, services))

    def _learn(
        self, queues: Collection[str], kinds: Mapping[str, KindDefaults], services: Mapping[str, ServedWork | None]
    ) -> None:
        for name in queues:
            self.queues.setdefault(name, 0)
        self.kinds.update(kinds)
        for processor_id, service in services.items():
            self.services = with_service(self.services, processor_id, service)
