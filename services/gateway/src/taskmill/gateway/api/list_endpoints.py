"""Endpoints that answer with a page of a list."""

from typing import Annotated

from fastapi import Query, Request, Response

from taskmill.contracts import registry
from taskmill.contracts.kinds import KindPage, ListKinds
from taskmill.contracts.requests import AttemptPage, CountTasks, LinePage, ListAttempts, ListLines, TaskCounts, TaskPage
from taskmill.gateway.adapters.payload_schemas import PayloadSchemas
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api import examples
from taskmill.gateway.api.idempotency import json_response
from taskmill.gateway.api.pages import NEXT, page_response
from taskmill.gateway.api.queries import PageQuery, TaskConditions, TaskQuery
from taskmill.gateway.api.routes import ON_A_TASK, TASK, UNAVAILABLE, TaskId, route
from taskmill.runtime.reply import Reply


class ListEndpoints:
    """Lists of tasks, and the attempts at one, and its lines; and the kinds."""

    def __init__(self, store: Store, schemas: PayloadSchemas) -> None:
        self._store = store
        self._schemas = schemas

    @route(
        "GET",
        "/tasks",
        operation_id="listTasks",
        summary="List tasks",
        tags=["tasks"],
        response_model=TaskPage,
        response_description="A page of tasks.",
        responses={200: {"headers": NEXT, **examples.answer(examples.TASK_PAGE)}},
        errors=UNAVAILABLE,
    )
    async def tasks(self, request: Request, query: Annotated[TaskQuery, Query()]) -> Response:
        """Read a page of the tasks that meet every condition given, without payload and result.

        Follow `next_cursor`, or the header `Link`, with the same conditions. A page may hold fewer tasks than `limit`
        and still have a next one.
        """
        return page_response(request, await self._store.ask(registry.LIST, query.request()))

    @route(
        "GET",
        "/tasks/counts",
        operation_id="countTasks",
        summary="Count tasks by status",
        tags=["tasks"],
        response_model=TaskCounts,
        response_description="How many there are.",
        responses={200: examples.answer(examples.TASK_COUNTS)},
        errors=UNAVAILABLE,
    )
    async def counts(self, query: Annotated[TaskConditions, Query()]) -> Response:
        """Count the tasks that meet every condition given, by status: each status up to 10,000."""
        return json_response(await self._store.ask(registry.COUNT, CountTasks(filter=query.filter())), 200)

    @route(
        "GET",
        f"{TASK}/attempts",
        operation_id="listAttempts",
        summary="List the attempts at a task",
        tags=["history"],
        response_model=AttemptPage,
        response_description="A page of attempts.",
        responses={200: {"headers": NEXT, **examples.answer(examples.ATTEMPT_PAGE)}},
        errors=ON_A_TASK,
    )
    async def attempts(self, request: Request, task_id: TaskId, query: Annotated[PageQuery, Query()]) -> Response:
        """Read a page of the attempts at a task, oldest first."""
        wanted = ListAttempts(task_id=task_id, limit=query.limit, cursor=query.cursor)
        return page_response(request, await self._store.ask(registry.ATTEMPTS, wanted))

    @route(
        "GET",
        f"{TASK}/logs",
        operation_id="listLines",
        summary="Read the lines of a task",
        tags=["history"],
        response_model=LinePage,
        response_description="A page of lines.",
        responses={200: {"headers": NEXT, **examples.answer(examples.LINE_PAGE)}},
        errors=ON_A_TASK,
    )
    async def lines(self, request: Request, task_id: TaskId, query: Annotated[PageQuery, Query()]) -> Response:
        """Read a page of what the handler of a task wrote with `ctx.log`, in all attempts, oldest line first.

        The newest 1,000 lines are kept, and go with the task; `dropped` counts those that are not there. To follow
        them, follow the events of the task: those of the type `logged` have the lines.
        """
        wanted = ListLines(task_id=task_id, limit=query.limit, cursor=query.cursor)
        return page_response(request, await self._store.ask(registry.LINES, wanted))

    @route(
        "GET",
        "/kinds",
        operation_id="listKinds",
        summary="List the kinds",
        tags=["kinds"],
        response_model=KindPage,
        response_description="A page of kinds.",
        responses={200: {"headers": NEXT, **examples.answer(examples.KIND_PAGE)}},
        errors=UNAVAILABLE,
    )
    async def kinds(self, request: Request, query: Annotated[PageQuery, Query()]) -> Response:
        """Read a page of the kinds that processors have handlers for, by name, with what those declare.

        A kind that declared something stays in the list when nobody serves it any more. A task may be of any other
        kind, too: it waits until a processor knows it.
        """
        wanted = ListKinds(limit=query.limit, cursor=query.cursor)
        page = KindPage.model_validate_json((await self._store.ask(registry.LIST_KINDS, wanted)).body)
        items = [
            kind.model_copy(update={"unchecked_reason": self._schemas.unchecked_reason(kind)}) for kind in page.items
        ]
        answer = page.model_copy(update={"items": items})
        return page_response(request, Reply(answer.model_dump_json().encode()))
