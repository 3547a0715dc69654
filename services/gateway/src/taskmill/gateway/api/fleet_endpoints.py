"""Endpoints of the processors and the queues."""

from typing import Annotated

from fastapi import Body, Path, Query, Request, Response
from starlette.convertors import StringConvertor, register_url_convertor

from taskmill.contracts import registry
from taskmill.contracts.activity import Activity, ReadActivity
from taskmill.contracts.errors import ProcessorNotFoundError, QueueNotFoundError, TooManyQueuesError
from taskmill.contracts.fleet import (
    DrainingProcessor,
    DrainProcessor,
    ListProcessors,
    ListQueues,
    PauseQueue,
    ProcessorPage,
    QueueInfo,
    QueuePage,
    ResumeQueue,
)
from taskmill.contracts.patterns import NAME_PATTERN
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api import examples
from taskmill.gateway.api.bodies import NO_OPTIONS, NoOptions
from taskmill.gateway.api.idempotency import json_response
from taskmill.gateway.api.pages import NEXT, page_response
from taskmill.gateway.api.queries import ActivityQuery, PageQuery
from taskmill.gateway.api.routes import UNAVAILABLE, route


class _NameConvertor(StringConvertor):
    """A part of a path that is a name: no queue has any other, so there is nothing at such a path."""

    regex = NAME_PATTERN.removeprefix("^").removesuffix("$")


register_url_convertor("name", _NameConvertor())

QueueName = Annotated[str, Path(description="The queue's name.")]


class FleetEndpoints:
    """Who works, what waits, and the pause of a queue."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @route(
        "GET",
        "/processors",
        operation_id="listProcessors",
        summary="List the processors",
        tags=["fleet"],
        response_model=ProcessorPage,
        response_description="A page of processors.",
        responses={200: {"headers": NEXT, **examples.answer(examples.PROCESSOR_PAGE)}},
        errors=UNAVAILABLE,
    )
    async def processors(self, request: Request, query: Annotated[PageQuery, Query()]) -> Response:
        """Read a page of the processors that were heard of within the last 30 s, by id.

        Each speaks every 10 s: what is told was so at `last_seen_at`. One that has ended stays for up to 30 s, with
        `is_draining` if it ended in good order.
        """
        wanted = ListProcessors(limit=query.limit, cursor=query.cursor)
        return page_response(request, await self._store.ask(registry.LIST_PROCESSORS, wanted))

    @route(
        "POST",
        "/processors/{processor_id:name}/drain",
        operation_id="drainProcessor",
        summary="Have a processor drain, and end",
        tags=["fleet"],
        status_code=202,
        response_model=DrainingProcessor,
        response_description="The processor has answered that it begins.",
        responses={202: examples.answer(examples.DRAINING_PROCESSOR)},
        errors=[*UNAVAILABLE, ProcessorNotFoundError],
    )
    async def drain(
        self,
        processor_id: Annotated[str, Path(description="The processor's id.")],
        body: Annotated[NoOptions, Body(openapi_examples=examples.body({}))] = NO_OPTIONS,  # noqa: ARG002
    ) -> Response:
        """Have a processor take no more work, finish or give back what it has, and end, as at SIGTERM.

        Whoever started it may start it again, as `taskmill up` and containers that are restarted do. After a 503 of the
        code `bus_unavailable` it may have heard all the same.
        """
        wanted = DrainProcessor(id=processor_id)
        return json_response(await self._store.ask(registry.DRAIN_PROCESSOR, wanted), 202)

    @route(
        "GET",
        "/queues",
        operation_id="listQueues",
        summary="List the queues",
        tags=["fleet"],
        response_model=QueuePage,
        response_description="A page of queues.",
        responses={200: {"headers": NEXT, **examples.answer(examples.QUEUE_PAGE)}},
        errors=UNAVAILABLE,
    )
    async def queues(self, request: Request, query: Annotated[PageQuery, Query()]) -> Response:
        """Read a page of the queues, by name, each with what waits in it and who serves it.

        Counters are kept with every change of a task, so that it costs the same whatever waits.
        """
        wanted = ListQueues(limit=query.limit, cursor=query.cursor)
        return page_response(request, await self._store.ask(registry.LIST_QUEUES, wanted))

    @route(
        "GET",
        "/activity",
        operation_id="readActivity",
        summary="Read what was done in the last minutes",
        tags=["fleet"],
        response_model=Activity,
        response_description="Minute by minute.",
        responses={200: examples.answer(examples.ACTIVITY)},
        errors=UNAVAILABLE,
    )
    async def activity(self, query: Annotated[ActivityQuery, Query()]) -> Response:
        """Read how many tasks were created and ended in each of the last minutes, and how long attempts took.

        For people: a store that is killed has not written down what it did in the last 10 s. Metrics and events are
        exact.
        """
        return json_response(await self._store.ask(registry.READ_ACTIVITY, ReadActivity(minutes=query.minutes)), 200)

    @route(
        "POST",
        "/queues/{name:name}/pause",
        operation_id="pauseQueue",
        summary="Pause a queue",
        tags=["fleet"],
        response_model=QueueInfo,
        response_description="The queue, paused.",
        responses={200: examples.answer(examples.PAUSED_QUEUE)},
        errors=[*UNAVAILABLE, TooManyQueuesError],
    )
    async def pause(
        self,
        name: QueueName,
        body: Annotated[NoOptions, Body(openapi_examples=examples.body({}))] = NO_OPTIONS,  # noqa: ARG002
    ) -> Response:
        """Begin no more tasks of a queue, until it is resumed: none begins later than a second after this answer.

        What runs goes on to its end. Tasks may still be created and processed: they wait. A queue that does not exist
        yet comes to exist, paused; one that is paused stays so. After a 503 of the code `bus_unavailable` the pause is
        kept, and takes effect as soon as NATS is there.
        """
        return json_response(await self._store.ask(registry.PAUSE_QUEUE, PauseQueue(name=name)), 200)

    @route(
        "POST",
        "/queues/{name:name}/resume",
        operation_id="resumeQueue",
        summary="Resume a queue",
        tags=["fleet"],
        response_model=QueueInfo,
        response_description="The queue, not paused.",
        responses={200: examples.answer(examples.QUEUE)},
        errors=[*UNAVAILABLE, QueueNotFoundError],
    )
    async def resume(
        self,
        name: QueueName,
        body: Annotated[NoOptions, Body(openapi_examples=examples.body({}))] = NO_OPTIONS,  # noqa: ARG002
    ) -> Response:
        """Begin tasks of a queue again. One that is not paused stays as it is."""
        return json_response(await self._store.ask(registry.RESUME_QUEUE, ResumeQueue(name=name)), 200)
