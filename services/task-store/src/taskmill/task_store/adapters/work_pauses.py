"""Makes JetStream deliver nothing of the queues that are paused: PostgreSQL says which they are."""

import asyncio
from collections.abc import Collection

import structlog

from taskmill.contracts import subjects
from taskmill.contracts.control import QueuesPaused
from taskmill.contracts.errors import BusUnavailableError
from taskmill.contracts.status import Priority
from taskmill.contracts.streams import WORK_STREAM, parse_work_consumer, work_consumer_name
from taskmill.runtime.consumer_pause import NO_SUCH_CONSUMER, consumer_pauses, pause_consumer, resume_consumer
from taskmill.runtime.errors import JetStreamError
from taskmill.runtime.nats_session import NatsSession
from taskmill.task_store.adapters.queue_rows import QueueRows
from taskmill.task_store.adapters.work_consumers import WorkConsumers

_log = structlog.get_logger(__name__)

MAX_TRIES = 5
"""So often what is written down is obeyed anew while others keep changing it; then the store that leads sees to it."""


class WorkPauses:
    """Pauses and resumes the consumers of queues.

    Args:
        session: The connection.
        queues: Says which are paused.
        consumers: Makes the consumers, paused where their queue is.
    """

    def __init__(self, session: NatsSession, queues: QueueRows, consumers: WorkConsumers) -> None:
        self._session = session
        self._queues = queues
        self._consumers = consumers

    async def apply(self, queue: str) -> None:
        """See `Pauses`."""
        try:
            await self._apply(queue)
        except JetStreamError as error:
            if error.error_code != NO_SUCH_CONSUMER:
                raise BusUnavailableError from error
            # They went with their stream, and nobody has noticed yet.
            self._consumers.forget()
            try:
                await self._apply(queue)
            except JetStreamError as again:
                raise BusUnavailableError from again

    def tell(self, paused: Collection[str]) -> None:
        """Have processors give back what they hold of paused queues and have not begun. They may not hear it.

        Raises:
            BusUnavailableError: Not connected.
        """
        if paused:
            message = QueuesPaused(queues=sorted(paused))
            self._session.publish(subjects.QUEUES_PAUSED_SUBJECT, message.model_dump_json().encode())

    async def agree(self) -> None:
        """Look at all consumers, and mend what is otherwise than the queues.

        Those of a queue are made again when one is missing, paused or resumed when one is not as it should be, and
        deleted when the queue is forgotten. Should a task bring it back at that moment, its work waits in
        the stream until the next look.

        Raises:
            UnavailableError: Something is away.
            JetStreamError: JetStream refuses.
        """
        found: dict[str, list[bool]] = {}
        async for consumer in consumer_pauses(self._session, WORK_STREAM):
            if (queue := parse_work_consumer(consumer.name)) is not None:
                found.setdefault(queue, []).append(consumer.is_paused)
        # After the consumers: a queue exists before they do.
        queues = await self._queues.pauses()
        for queue in sorted(found.keys() - queues.keys()):
            await self._consumers.remove(queue)
        for queue, is_paused in sorted(queues.items()):
            consumers = found.get(queue, [])
            if len(consumers) < len(Priority):
                await self._consumers.ensure_again(queue)
            if consumers.count(is_paused) < len(consumers):
                _log.info("queue.pause_mended", queue=queue)
                await self.apply(queue)

    async def _apply(self, queue: str) -> None:
        # First, so that nobody makes them anew without the pause: one that exists keeps it.
        await self._consumers.ensure(queue)
        is_paused = await self._queues.is_paused(queue)
        for _ in range(MAX_TRIES):
            await self._set(queue, is_paused=is_paused)
            # Somebody who wants the opposite may have come between, and been overtaken here.
            was_set, is_paused = is_paused, await self._queues.is_paused(queue)
            if is_paused == was_set:
                return

    async def _set(self, queue: str, *, is_paused: bool) -> None:
        change = pause_consumer if is_paused else resume_consumer
        names = [work_consumer_name(queue, priority) for priority in Priority]
        await asyncio.gather(*(change(self._session, WORK_STREAM, name) for name in names))
        if is_paused:
            self.tell([queue])
            await self._session.flush()
