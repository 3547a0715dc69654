"""What happens, for pages that are open."""

from starlette.requests import Request
from starlette.responses import Response

from taskmill.contracts.api_keys import Scope
from taskmill.gateway.api.event_endpoints import EventEndpoints
from taskmill.gateway.api.event_stream import EVENT_STREAM
from taskmill.gateway.api.queries import EventQuery
from taskmill.gateway.api.query_reader import QueryReader
from taskmill.gateway.errors import PathNotFoundError
from taskmill.gateway.ui.pages import page

_QUERY = QueryReader(EventQuery)


class LivePages:
    """The stream by which pages notice that they are of the past.

    Args:
        events: Follows the log.
        shows_payloads: Whether payloads and results are shown, which events tell; if not, pages look by themselves.
    """

    def __init__(self, events: EventEndpoints, *, shows_payloads: bool) -> None:
        self._events = events
        self._shows_payloads = shows_payloads

    @page("GET", "/events", Scope.EVENTS_READ)
    async def events(self, request: Request) -> Response:
        """Send what happens from now on."""
        if not self._shows_payloads:
            raise PathNotFoundError
        query = _QUERY.read(request.scope["query_string"])
        assert isinstance(query, EventQuery)  # noqa: S101  (the reader's model)
        return await self._events.events(query, EVENT_STREAM, request.headers.get("last-event-id"))
