"""Takes down which processors there are, and has what they newly can do done."""

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
from taskmill.task_store.adapters.queue_rows import QueueRows
from taskmill.task_store.adapters.work_consumers import WorkConsumers
from taskmill.task_store.domain.operations import OfferAgain
from taskmill.task_store.domain.waiting import ServedWork
from taskmill.task_store.ports import Writes

_log = structlog.get_logger(__name__)

MAX_WAITING = 1_000

MAX_REMEMBERED = 1_000
"""Of so many processors it is known what they said before."""

MAX_OFFERED_AT_ONCE = 500
MAX_OFFERS = 20


class _Greeting(NamedTuple):
    processor_id: str
    hello: Hello


class Registrations(Actor):
    """Handles what processors say of themselves, one after another. They repeat it: one that is lost does no harm.

    Args:
        processors: Where it is written down.
        consumers: Makes consumers.
        queues: Finds the tasks that wait for a processor that knows their kind.
        writes: Has them offered again.
        knows_queue: Whether a queue exists; the limit may have left no room for it.
        on_noted: Called with what a processor does, once that is written down.
        now: The clock.
    """

    name = "registrations"

    def __init__(
        self,
        processors: ProcessorRows,
        consumers: WorkConsumers,
        queues: QueueRows,
        writes: Writes,
        *,
        knows_queue: Callable[[str], bool],
        on_noted: Callable[[ServedWork], None],
        now: Clock,
    ) -> None:
        self._processors = processors
        self._consumers = consumers
        self._queues = queues
        self._writes = writes
        self._knows_queue = knows_queue
        self._on_noted = on_noted
        self._now = now
        self._said: dict[str, object] = {}
        self._told: frozenset[tuple[str, ...]] = frozenset()
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
        if greeting.hello.is_draining:
            self._said.pop(greeting.processor_id, None)
            return
        served = ServedWork.said_by(greeting.processor_id, greeting.hello)
        self._on_noted(served)
        if not self._is_news(greeting, served):
            return
        await self._offer_again(served)
        await self._tell_conflicts()
        self._remember(greeting, served)

    def _is_news(self, greeting: _Greeting, served: ServedWork) -> bool:
        return self._said.get(greeting.processor_id) != _news(greeting, served)

    def _remember(self, greeting: _Greeting, served: ServedWork) -> None:
        if len(self._said) >= MAX_REMEMBERED:
            self._said.clear()
        self._said[greeting.processor_id] = _news(greeting, served)

    async def _offer_again(self, served: ServedWork) -> None:
        """Have those tasks queued that nobody knew the kind of; beyond so many they wait for their time."""
        for _ in range(MAX_OFFERS):
            refused = await self._queues.refused(served, MAX_OFFERED_AT_ONCE)
            if not refused:
                return
            await self._writes.ask(OfferAgain(tuple(refused)))

    async def _tell_conflicts(self) -> None:
        """Log the kinds for which processors declare different things, each once for as long as it is so."""
        differing = {
            (kind.kind, *sorted(one.processors[0] for one in kind.declarations)): kind
            for kind in await self._processors.kinds(self._now())
            if kind.declaration_count > 1
        }
        for key, kind in differing.items():
            if key not in self._told:
                first, second, *_ = kind.declarations
                _log.warning(
                    "kinds.declarations_differ",
                    kind=kind.kind,
                    holds=first.processors[0],
                    differs=second.processors[0],
                    declarations=kind.declaration_count,
                )
        self._told = frozenset(differing)


def _news(greeting: _Greeting, served: ServedWork) -> object:
    return served, greeting.hello.kind_defaults, greeting.hello.payload_schemas_digest
