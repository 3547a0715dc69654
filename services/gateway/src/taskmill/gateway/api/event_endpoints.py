"""Endpoints that tell what happened, and what happens."""

from contextlib import suppress
from typing import Annotated, Any

from fastapi import Header, Query, Request, Response
from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import from_json

from taskmill.contracts import registry
from taskmill.contracts.errors import FieldProblem, InvalidRequestError, OverloadedError, UnavailableError
from taskmill.contracts.events import EventPage, TaskEvent
from taskmill.contracts.limits import MAX_INTEGER
from taskmill.contracts.log import Position
from taskmill.contracts.requests import ListEvents
from taskmill.gateway.adapters.log import Log
from taskmill.gateway.adapters.shared_log import SharedLog
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api import examples
from taskmill.gateway.api.event_stream import EVENT_STREAM, EventStreamResponse
from taskmill.gateway.api.media_ranges import is_preferred
from taskmill.gateway.api.pages import NEXT, page_response
from taskmill.gateway.api.parameters import JSON
from taskmill.gateway.api.queries import EventQuery, TaskEventsQuery
from taskmill.gateway.api.routes import ON_A_TASK, TASK, UNAVAILABLE, TaskId, route
from taskmill.gateway.domain.following import EventFilter, FollowedEvent
from taskmill.gateway.followers import TOO_MANY_FOLLOWERS, Feed

MAX_LOG_READS = 10
"""A page of the log is looked for with so many requests to the store at most."""

Accept = Annotated[
    str | SkipJsonSchema[None],
    Header(
        description=f"`{EVENT_STREAM}`: a stream, which goes on with what happens; anything else, or if `{JSON}` is "
        "wanted more: a page."
    ),
]
LastEventId = Annotated[
    str | SkipJsonSchema[None],
    Header(
        alias="Last-Event-ID",
        description="Of a stream: the `id` of the last event that the client has; beats `after`. Browsers send it.",
    ),
]


_VARY = {"Vary": "Accept"}
_VARIES = {"Vary": {"description": "`Accept`: a page or a stream.", "schema": {"type": "string"}}}
_STREAM: dict[str, Any] = {EVENT_STREAM: {"schema": {"type": "string"}}}


class LoggedEvent(BaseModel):
    """An event, and where in the log it stands."""

    position: Position
    event: TaskEvent


class EventLogPage(BaseModel):
    """Some of the log, oldest first."""

    items: Annotated[list[LoggedEvent], Field(description="The events. Up to 200.")]
    next_after: Annotated[Position, Field(description="Up to where was searched: go on behind it.")]
    oldest: Annotated[Position, Field(description="Position of the oldest event that is kept; 0: there is none.")]
    newest: Annotated[
        Position,
        Field(
            description="Position of the newest event: there is no more when `next_after` has come here. Below "
            "`after`: the log was set back to a backup, and `after` is of what was lost; go on here."
        ),
    ]
    removed: Annotated[
        Position,
        Field(description="Events up to this position were removed: who comes with a lower `after` has missed some."),
    ]
    epoch: Annotated[
        Position,
        Field(
            description="The position behind which the log's epoch begins; 0: it is the first. Another one than "
            "before: the log was set back to a backup."
        ),
    ]


class EventEndpoints:
    """The log, as pages and as streams.

    Args:
        store: The task store.
        log: What happened.
        feed: What happens.
    """

    def __init__(self, store: Store, log: Log, feed: Feed) -> None:
        self._store = store
        self._log = log
        self._shared_log = SharedLog(log)
        self._feed = feed

    @route(
        "GET",
        "/events",
        operation_id="readLog",
        summary="Read, or follow, the events of all tasks",
        tags=["history"],
        response_model=EventLogPage,
        response_description="A page of events, or a stream of them.",
        responses={
            200: {"headers": _VARIES, "content": {**examples.answer(examples.EVENT_LOG_PAGE)["content"], **_STREAM}}
        },
        errors=UNAVAILABLE,
    )
    async def events(
        self,
        query: Annotated[EventQuery, Query()],
        accept: Accept = None,
        last_event_id: LastEventId = None,
    ) -> Response:
        """Read what happened to all tasks, oldest first, or follow it.

        A page goes on at `next_after`; what was searched is complete when that has come to `newest`. A page may hold
        fewer events than `limit`, or none, and not be the last.

        With `Accept: text/event-stream` the answer is a stream of server-sent events: what happened behind `after`
        first, then what happens, without a hole or a repeat; without `after`, only what happens from now on. The `id`
        of an event is its position in the log. Whenever the stream ends, come again with the last one. An event `reset`
        says that the log does not reach back to `after`, or was set back to a backup and lost what `after` stands for;
        the stream goes on behind the `newest` that it names. An event `removed` says, to who wanted all from the
        beginning, up to which position events were removed; the stream goes on with those that are kept. A stream has
        no `limit`.
        """
        wanted = query.filter()
        if not _is_stream_wanted(accept):
            return await self._page(query.after or 0, wanted, query.limit)
        _refuse(query, {"limit"}, "A stream has no pages.")
        after = _last_position(last_event_id, query.after)
        self._check_room()
        return EventStreamResponse(self._feed, self._shared_log, wanted, after, headers=_VARY)

    @route(
        "GET",
        f"{TASK}/events",
        operation_id="listEvents",
        summary="List, or follow, the events of a task",
        tags=["history"],
        response_model=EventPage,
        response_description="A page of events, or a stream of them.",
        responses={
            200: {
                "headers": {**NEXT, **_VARIES},
                "content": {**examples.answer(examples.EVENT_PAGE)["content"], **_STREAM},
            }
        },
        errors=ON_A_TASK,
    )
    async def task_events(
        self,
        request: Request,
        task_id: TaskId,
        query: Annotated[TaskEventsQuery, Query()],
        accept: Accept = None,
        last_event_id: LastEventId = None,
    ) -> Response:
        """Read a page of what happened to a task, oldest first: the CloudEvents, byte for byte as published.

        The history outlives its task, for as long as events are kept: `removed` says which are no longer there. With
        `Accept: text/event-stream` the answer is a stream as that of `/events`, with the task's whole history first, or
        what lies behind `after`; an event `removed` says up to which `sequence` it is no longer whole. A stream has no
        `cursor` and no `limit`, a page no `after`.
        """
        if not _is_stream_wanted(accept):
            _refuse(query, {"after"}, "It says where a stream begins; a page begins at its `cursor`.")
            listing = ListEvents(task_id=task_id, limit=query.limit, cursor=query.cursor)
            page = page_response(request, await self._store.ask(registry.EVENTS, listing))
            page.headers.update(_VARY)
            return page
        _refuse(query, {"limit", "cursor"}, "A stream has no pages.")
        after = _last_position(last_event_id, query.after) or 0
        self._check_room()
        removed = 0
        # Who cannot be told now whether there is such a task is told when coming again.
        with suppress(UnavailableError):
            first = await self._store.ask(registry.EVENTS, ListEvents(task_id=task_id, limit=1))
            removed = from_json(first.body).get("removed", 0)
        wanted = EventFilter(task_id=str(task_id))
        self._check_room()
        return EventStreamResponse(self._feed, self._shared_log, wanted, after, headers=_VARY, removed=removed)

    def _check_room(self) -> None:
        # To be asked last, too: then the place is taken before anybody else can ask.
        if self._feed.is_full:
            raise OverloadedError(TOO_MANY_FOLLOWERS)

    async def _page(self, after: int, wanted: EventFilter, limit: int) -> Response:
        events: list[FollowedEvent] = []
        for _ in range(MAX_LOG_READS):
            found = await self._log.behind(after, wanted, limit=limit - len(events))
            events += found.events
            after = found.position
            if len(events) >= limit or after >= found.newest:
                break
        items = b",".join(b'{"position":%d,"event":%b}' % (event.position, event.document) for event in events)
        ends = b'"oldest":%d,"newest":%d,"removed":%d,"epoch":%d' % found[2:]
        body = b'{"items":[%b],"next_after":%d,%b}' % (items, after, ends)
        return Response(body, media_type=JSON, headers=_VARY)


def _is_stream_wanted(accept: str | None) -> bool:
    return is_preferred(accept, EVENT_STREAM, default=JSON)


def _refuse(query: BaseModel, names: set[str], why: str) -> None:
    """Refuse parameters that mean nothing here: who gives them expects something else than the answer."""
    if given := sorted(query.model_fields_set & names):
        raise InvalidRequestError(
            errors=[FieldProblem(pointer=name, detail=why, code="not_applicable") for name in given]
        )


def _last_position(last_event_id: str | None, after: int | None) -> int | None:
    """The position that a client has.

    Raises:
        InvalidRequestError: `Last-Event-ID` is none.
    """
    if last_event_id is None:
        return after
    # Python reads no number of any length.
    is_short = len(last_event_id) <= len(str(MAX_INTEGER))
    if not (is_short and last_event_id.isascii() and last_event_id.isdigit() and int(last_event_id) <= MAX_INTEGER):
        problem = FieldProblem(pointer="Last-Event-ID", detail="It should be the id of an event.", code="not_an_id")
        raise InvalidRequestError(errors=[problem])
    return int(last_event_id)
