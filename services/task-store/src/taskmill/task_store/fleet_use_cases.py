"""What requests about processors and queues ask of the store: from the request to the body of the reply.

`DatabaseUnavailableError` may come from any of them.
"""

from collections.abc import Sequence
from datetime import timedelta

from taskmill.contracts.activity import Activity, ReadActivity
from taskmill.contracts.fleet import (
    DrainingProcessor,
    DrainProcessor,
    ListProcessors,
    ListQueues,
    PauseQueue,
    ResumeQueue,
)
from taskmill.contracts.limits import MAX_LISTED_PROCESSORS
from taskmill.task_store.domain.cursors import name_cursor, parse_name_cursor
from taskmill.task_store.domain.documents import page_of
from taskmill.task_store.domain.fleet import QueueState, Servers, processor_document, queue_document
from taskmill.task_store.domain.waiting import PROCESSOR_LIFE
from taskmill.task_store.use_cases import Ports

_NOBODY = Servers(0, ())


async def list_processors(ports: Ports, request: ListProcessors) -> bytes:
    """`ListProcessors` → `ProcessorPage`."""
    behind = parse_name_cursor(request.cursor)
    since = ports.now() - PROCESSOR_LIFE
    found = await ports.processors.page(since, behind=behind, limit=request.limit + 1)
    return page_of(found, request.limit, processor_document, lambda processor: name_cursor(processor.id))


async def drain_processor(ports: Ports, request: DrainProcessor) -> bytes:
    """`DrainProcessor` → `DrainingProcessor`. Raises what `Drains` does."""
    await ports.drains.drain(request.id)
    return DrainingProcessor(id=request.id).model_dump_json().encode()


async def read_activity(ports: Ports, request: ReadActivity) -> bytes:
    """`ReadActivity` → `Activity`."""
    since = ports.now() - timedelta(minutes=request.minutes)
    return Activity(items=await ports.activity.since(since)).model_dump_json().encode()


async def list_queues(ports: Ports, request: ListQueues) -> bytes:
    """`ListQueues` → `QueuePage`."""
    found = await ports.queues.page(behind=parse_name_cursor(request.cursor), limit=request.limit + 1)
    documents = await _documents(ports, found[: request.limit])
    return page_of(found, request.limit, lambda queue: documents[queue.name], lambda queue: name_cursor(queue.name))


async def pause_queue(ports: Ports, request: PauseQueue) -> bytes:
    """`PauseQueue` → `QueueInfo`, once nothing of it is delivered any more.

    It is kept before NATS is told: if that fails, the store that leads goes on trying.

    Raises:
        TooManyQueuesError: It does not exist, and there are as many as may be.
        BusUnavailableError: NATS cannot be told now.
    """
    await ports.queues.pause(request.name, ports.now())
    return await _obeyed(ports, request.name)


async def resume_queue(ports: Ports, request: ResumeQueue) -> bytes:
    """`ResumeQueue` → `QueueInfo`. Raises `QueueNotFoundError`, and `BusUnavailableError` as `pause_queue` does."""
    await ports.queues.resume(request.name)
    return await _obeyed(ports, request.name)


async def _obeyed(ports: Ports, name: str) -> bytes:
    ports.service.doubt()
    await ports.pauses.apply(name)
    return (await _documents(ports, [await ports.queues.queue(name)]))[name]


async def _documents(ports: Ports, queues: Sequence[QueueState]) -> dict[str, bytes]:
    """The documents of queues by their names."""
    now = ports.now()
    servers = await ports.processors.servers(
        now - PROCESSOR_LIFE, [queue.name for queue in queues], limit=MAX_LISTED_PROCESSORS
    )
    return {
        queue.name: queue_document(
            queue, servers.get(queue.name, _NOBODY), ports.rates.rate(queue.name, now, queue.finished), now
        )
        for queue in queues
    }
