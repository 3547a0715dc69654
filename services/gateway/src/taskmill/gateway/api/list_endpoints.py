"""Endpoints that answer with a page of a list."""

from typing import Annotated
from urllib.parse import parse_qsl, urlencode

from fastapi import Query, Request, Response
from pydantic import BaseModel

from taskmill.contracts import registry
from taskmill.contracts.events import EventPage
from taskmill.contracts.requests import AttemptPage, ListAttempts, ListEvents, TaskPage
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api import examples
from taskmill.gateway.api.queries import PageQuery, TaskQuery
from taskmill.gateway.api.routes import ON_A_TASK, TASK, UNAVAILABLE, TaskId, route
from taskmill.runtime.reply import Reply

_NEXT = {"Link": {"description": 'The next page, as `rel="next"`, if any.', "schema": {"type": "string"}}}


class _Page(BaseModel):
    """The one field of a page that the gateway reads."""

    next_cursor: str | None = None


class ListEndpoints:
    """Lists of tasks, and the history of one."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @route(
        "GET",
        "/tasks",
        operation_id="listTasks",
        summary="List tasks",
        tags=["tasks"],
        response_model=TaskPage,
        response_description="A page of tasks.",
        responses={200: {"headers": _NEXT, **examples.answer(examples.TASK_PAGE)}},
        errors=UNAVAILABLE,
    )
    async def tasks(self, request: Request, query: Annotated[TaskQuery, Query()]) -> Response:
        """Read a page of the tasks that meet every condition given, without payload and result.

        Follow `next_cursor`, or the header `Link`, with the same conditions. A page may hold fewer tasks than `limit`
        and still have a next one.
        """
        return _page_response(request, await self._store.ask(registry.LIST, query.request()))

    @route(
        "GET",
        f"{TASK}/attempts",
        operation_id="listAttempts",
        summary="List the attempts at a task",
        tags=["history"],
        response_model=AttemptPage,
        response_description="A page of attempts.",
        responses={200: {"headers": _NEXT, **examples.answer(examples.ATTEMPT_PAGE)}},
        errors=ON_A_TASK,
    )
    async def attempts(self, request: Request, task_id: TaskId, query: Annotated[PageQuery, Query()]) -> Response:
        """Read a page of the attempts at a task, oldest first."""
        wanted = ListAttempts(task_id=task_id, limit=query.limit, cursor=query.cursor)
        return _page_response(request, await self._store.ask(registry.ATTEMPTS, wanted))

    @route(
        "GET",
        f"{TASK}/events",
        operation_id="listEvents",
        summary="List the events of a task",
        tags=["history"],
        response_model=EventPage,
        response_description="A page of events.",
        responses={200: {"headers": _NEXT, **examples.answer(examples.EVENT_PAGE)}},
        errors=ON_A_TASK,
    )
    async def events(self, request: Request, task_id: TaskId, query: Annotated[PageQuery, Query()]) -> Response:
        """Read a page of what happened to a task, oldest first: the CloudEvents, byte for byte as published.

        The history outlives its task.
        """
        wanted = ListEvents(task_id=task_id, limit=query.limit, cursor=query.cursor)
        return _page_response(request, await self._store.ask(registry.EVENTS, wanted))


def _page_response(request: Request, reply: Reply) -> Response:
    response = Response(reply.body, media_type="application/json")
    cursor = _Page.model_validate_json(reply.body).next_cursor
    if cursor is not None:
        response.headers["Link"] = f'<{_next_page(request, cursor)}>; rel="next"'
    return response


def _next_page(request: Request, cursor: str) -> str:
    parameters = [pair for pair in parse_qsl(request.url.query, keep_blank_values=True) if pair[0] != "cursor"]
    return f"{request.url.path}?{urlencode([*parameters, ('cursor', cursor)])}"
