"""The pages of queues and processors."""

from starlette.requests import Request
from starlette.responses import Response

from taskmill.contracts import registry
from taskmill.contracts.api_keys import Scope
from taskmill.contracts.fleet import (
    DrainProcessor,
    ListProcessors,
    ListQueues,
    PauseQueue,
    ProcessorPage,
    QueuePage,
    ResumeQueue,
)
from taskmill.contracts.limits import MAX_PAGE_ITEMS
from taskmill.gateway.ui.forms import read_form
from taskmill.gateway.ui.pages import Parts, page
from taskmill.gateway.ui.paging import ListPlace, cursor_of


class FleetPages:
    """Queues, which may be paused, and processors, which may be drained."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @page("GET", "/queues", Scope.TASKS_READ)
    async def queues(self, request: Request) -> Response:
        """Show a page of the queues."""
        cursor = cursor_of(request)
        reply = await self._parts.store.ask(registry.LIST_QUEUES, ListQueues(limit=MAX_PAGE_ITEMS, cursor=cursor))
        found = QueuePage.model_validate_json(reply.body)
        place = ListPlace("/queues", cursor, found.next_cursor)
        return self._parts.render(request, "queues.html", queues=found.items, place=place)

    @page("POST", "/queues/{name:name}/pause", Scope.QUEUES_ADMIN)
    async def pause(self, request: Request) -> Response:
        """Pause a queue."""
        await read_form(request)
        await self._parts.store.ask(registry.PAUSE_QUEUE, PauseQueue(name=request.path_params["name"]))
        return await self.queues(request)

    @page("POST", "/queues/{name:name}/resume", Scope.QUEUES_ADMIN)
    async def resume(self, request: Request) -> Response:
        """Resume a queue."""
        await read_form(request)
        await self._parts.store.ask(registry.RESUME_QUEUE, ResumeQueue(name=request.path_params["name"]))
        return await self.queues(request)

    @page("GET", "/processors", Scope.TASKS_READ)
    async def processors(self, request: Request) -> Response:
        """Show a page of the processors."""
        cursor = cursor_of(request)
        wanted = ListProcessors(limit=MAX_PAGE_ITEMS, cursor=cursor)
        found = ProcessorPage.model_validate_json((await self._parts.store.ask(registry.LIST_PROCESSORS, wanted)).body)
        place = ListPlace("/processors", cursor, found.next_cursor)
        return self._parts.render(request, "processors.html", processors=found.items, place=place)

    @page("POST", "/processors/{processor_id:name}/drain", Scope.QUEUES_ADMIN)
    async def drain(self, request: Request) -> Response:
        """Have a processor finish what it has, and end."""
        await read_form(request)
        await self._parts.store.ask(registry.DRAIN_PROCESSOR, DrainProcessor(id=request.path_params["processor_id"]))
        return await self.processors(request)
