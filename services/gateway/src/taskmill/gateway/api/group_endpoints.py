"""Endpoints of groups."""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import Body, Path, Query, Request, Response
from pydantic import BaseModel
from pydantic_core import to_json

from taskmill.contracts import registry
from taskmill.contracts.errors import (
    GroupNotFoundError,
    IdempotencyKeyReusedError,
    QueueFullError,
    TooManyQueuesError,
)
from taskmill.contracts.groups import GetGroup, Group, GroupPage, ListGroups, NewGroup
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api import examples
from taskmill.gateway.api.bodies import creation, with_key
from taskmill.gateway.api.idempotency import IdempotencyKeyHeader, idempotency, json_response, refused
from taskmill.gateway.api.pages import NEXT, page_response
from taskmill.gateway.api.payload_check import PayloadCheck
from taskmill.gateway.api.queries import PageQuery
from taskmill.gateway.api.routes import REPLAYED, UNAVAILABLE, location, route

GroupId = Annotated[UUID, Path(description="The group's id, a UUID.")]

FOLLOW_UPS = ("on_completed", "on_failed")

_ANSWER = examples.answer(examples.GROUP)
_LINKS = {"getGroup": {"operationId": "getGroup", "parameters": {"group_id": "$response.body#/id"}}}


class _GroupHead(BaseModel):
    """The one field of a group that the gateway reads."""

    id: UUID


class GroupEndpoints:
    """What can be done with tasks that have one outcome together.

    Args:
        payloads: Refuses payloads that cannot fit.
        new_id: Makes the id of a new group, or task, a UUID of version 7 as text.
    """

    def __init__(self, store: Store, payloads: PayloadCheck, new_id: Callable[[], str]) -> None:
        self._store = store
        self._payloads = payloads
        self._new_id = new_id

    @route(
        "POST",
        "/groups",
        operation_id="createGroup",
        summary="Create a group of tasks",
        tags=["groups"],
        status_code=201,
        response_model=Group,
        response_description="The group is stored, with all its tasks.",
        responses={201: {"headers": {**location("The group's path."), **REPLAYED}, "links": _LINKS, **_ANSWER}},
        errors=[*UNAVAILABLE, IdempotencyKeyReusedError, QueueFullError, TooManyQueuesError],
    )
    async def create(
        self,
        body: Annotated[NewGroup, Body(openapi_examples=examples.body(examples.NEW_GROUP))],
        idempotency_key: IdempotencyKeyHeader = None,
    ) -> Response:
        """Create tasks that have one outcome together, all or none, and what is processed for it.

        `on_completed` is processed when all of them are completed, `on_failed` as soon as one is not; the other one is
        cancelled. Either exists from the beginning, and waits. Its tasks are those of `GET /tasks?group_id=`, in the
        order of the request; no more can be added.
        """
        follow_ups = [(name, task) for name in FOLLOW_UPS if (task := getattr(body, name)) is not None]
        problems = await self._payloads.problems_at(
            [
                *((f"/tasks/{index}/payload", task) for index, task in enumerate(body.tasks)),
                *((f"/{name}/payload", task) for name, task in follow_ups),
            ]
        )
        tasks = b",".join(creation(self._new_id(), task) for task in body.tasks)
        request = b'{"id":"%b","title":%b,"tasks":[%b]' % (
            self._new_id().encode(),
            to_json(body.title),
            tasks,
        )
        for name, task in follow_ups:
            request += b',"%b":%b' % (name.encode(), creation(self._new_id(), task))
        key = refused(idempotency(idempotency_key, "POST /groups", body), problems)
        reply = await self._store.ask(registry.CREATE_GROUP, with_key(request + b"}", key))
        group_id = _GroupHead.model_validate_json(reply.body).id
        return json_response(reply, 201, {"Location": f"/groups/{group_id}"})

    @route(
        "GET",
        "/groups",
        operation_id="listGroups",
        summary="List groups",
        tags=["groups"],
        response_model=GroupPage,
        response_description="A page of groups.",
        responses={200: {"headers": NEXT, **examples.answer(examples.GROUP_PAGE)}},
        errors=UNAVAILABLE,
    )
    async def groups(self, request: Request, query: Annotated[PageQuery, Query()]) -> Response:
        """Read a page of the groups, newest first."""
        wanted = ListGroups(limit=query.limit, cursor=query.cursor)
        return page_response(request, await self._store.ask(registry.LIST_GROUPS, wanted))

    @route(
        "GET",
        "/groups/{group_id:uuid}",
        operation_id="getGroup",
        summary="Read a group",
        tags=["groups"],
        response_model=Group,
        response_description="How far it is.",
        responses={200: _ANSWER},
        errors=[*UNAVAILABLE, GroupNotFoundError],
    )
    async def get(self, group_id: GroupId) -> Response:
        """Read how far a group is. One that was settled is kept for 30 days."""
        return json_response(await self._store.ask(registry.GET_GROUP, GetGroup(id=group_id)), 200)
