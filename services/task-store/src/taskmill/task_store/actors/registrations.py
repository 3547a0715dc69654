"""Takes down which processors there are, and makes the consumers of the queues that they serve exist."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import structlog

from taskmill.contracts.errors import UnavailableError
from taskmill.contracts.reports import Hello
from taskmill.runtime.actor import Actor, unless_set
from taskmill.runtime.clock import Clock
from taskmill.runtime.errors import BatchRefusedError, JetStreamError
from taskmill.task_store.adapters.processor_rows import ProcessorRows
from taskmill.task_store.adapters.work_consumers import WorkConsumers
from taskmill.task_store.domain.waiting import ServedWork

_log = structlog.get_logger(__name__)

MAX_WAITING = 1_000


class _Greeting(NamedTuple):
    processor_id: str
    hello: Hello


class Registrations(Actor):
    """Handles what processors say of themselves, one after another. They repeat it: one that is lost does no harm.

    Args:
        processors: Where it is written down.
        consumers: Makes consumers.
        knows_queue: Whether a queue exists; the limit may have left no room for it.
        on_noted: Called with what a processor does, once that is written down.
        now: The clock.
    """

    name = "registrations"

    def __init__(
        self,
        processors: ProcessorRows,
        consumers: WorkConsumers,
        *,
        knows_queue: Callable[[str], bool],
        on_noted: Callable[[ServedWork], None],
        now: Clock,
    ) -> None:
        self._processors = processors
        self._consumers = consumers
        self._knows_queue = knows_queue
        self._on_noted = on_noted
        self._now = now
        self._waiting: asyncio.Queue[_Greeting] = asyncio.Queue(MAX_WAITING)

    def greet(self, processor_id: str, hello: Hello) -> None:
        """Hand over what a processor said, once its queues are committed."""
        if not self._waiting.full():
            self._waiting.put_nowait(_Greeting(processor_id, hello))

    async def run(self, started: Callable[[], None]) -> None:
        """Handle greetings until stopped; what waits then is said again to another store."""
        started()
        await unless_set(self._stop_requested, self._handle_all())

    async def _handle_all(self) -> None:
        while True:
            greeting = await self._waiting.get()
            try:
                await self._handle(greeting)
            except (UnavailableError, JetStreamError) as error:
                # Of queues with work, the relay makes the consumers before it publishes.
                _log.warning("registrations.postponed", processor_id=greeting.processor_id, error=str(error))
            except BatchRefusedError:
                # It says what PostgreSQL cannot hold; others can be registered.
                _log.error("registrations.refused", processor_id=greeting.processor_id)

    async def _handle(self, greeting: _Greeting) -> None:
        for queue in greeting.hello.queues:
            if self._knows_queue(queue):
                await self._consumers.ensure(queue)
            else:
                _log.warning("registrations.queue_beyond_limit", queue=queue)
        await self._processors.note(greeting.processor_id, greeting.hello, self._now())
        if not greeting.hello.is_draining:
            self._on_noted(ServedWork(frozenset(greeting.hello.queues), frozenset(greeting.hello.kinds)))
