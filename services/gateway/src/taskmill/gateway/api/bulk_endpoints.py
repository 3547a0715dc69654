"""Endpoints of bulk operations."""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import Body, Path, Request, Response
from pydantic import BaseModel

from taskmill.contracts import registry
from taskmill.contracts.api_keys import Scope
from taskmill.contracts.bulk_operations import (
    BulkAction,
    BulkOperation,
    GetBulkOperation,
    NewBulkOperation,
    StartBulkOperation,
)
from taskmill.contracts.errors import BulkOperationNotFoundError, IdempotencyKeyReusedError
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api import examples
from taskmill.gateway.api.admission import caller_of
from taskmill.gateway.api.idempotency import IdempotencyKeyHeader, idempotency, json_response
from taskmill.gateway.api.routes import REPLAYED, UNAVAILABLE, location, route
from taskmill.gateway.errors import MissingScopeError

OperationId = Annotated[UUID, Path(description="The bulk operation's id, a UUID.")]

_ANSWER = examples.answer(examples.BULK_OPERATION)
_LINKS = {"getBulkOperation": {"operationId": "getBulkOperation", "parameters": {"operation_id": "$response.body#/id"}}}


class _OperationHead(BaseModel):
    """The one field of a bulk operation that the gateway reads."""

    id: UUID


class BulkEndpoints:
    """What can be done with many tasks at once.

    Args:
        new_operation_id: Makes the id of a new operation, a UUID of version 7.
    """

    def __init__(self, store: Store, new_operation_id: Callable[[], UUID]) -> None:
        self._store = store
        self._new_operation_id = new_operation_id

    @route(
        "POST",
        "/tasks/bulk",
        operation_id="startBulkOperation",
        summary="Process, cancel or delete many tasks",
        tags=["bulk operations"],
        status_code=202,
        response_model=BulkOperation,
        response_description="The operation is stored, and will be carried out.",
        responses={202: {"headers": {**location("The operation's path."), **REPLAYED}, "links": _LINKS, **_ANSWER}},
        errors=[*UNAVAILABLE, IdempotencyKeyReusedError],
    )
    async def start(
        self,
        http: Request,
        body: Annotated[NewBulkOperation, Body(openapi_examples=examples.body(examples.NEW_BULK_OPERATION))],
        idempotency_key: IdempotencyKeyHeader = None,
    ) -> Response:
        """Process, cancel or delete many tasks: those that meet a filter, or those that are named.

        The filter has the conditions of the list of tasks; it takes in tasks that exist now, and each once. The
        operation is stored, and carried out in the background; follow it at the path in `Location`. Each task is asked
        as by its own endpoint: `refusals` counts those to which it could not be done, by the code of the error. A queue
        that is full is waited for. To cancel takes the scope `tasks:cancel`, too.
        """
        if body.action is BulkAction.CANCEL and Scope.TASKS_CANCEL not in caller_of(http.scope).scopes:
            raise MissingScopeError(Scope.TASKS_CANCEL)
        given = {*body.model_fields_set, "id", "idempotency"}
        request = StartBulkOperation.model_construct(
            given,
            id=self._new_operation_id(),
            idempotency=idempotency(idempotency_key, "POST /tasks/bulk", body),
            **vars(body),
        )
        reply = await self._store.ask(registry.START_BULK, request)
        operation_id = _OperationHead.model_validate_json(reply.body).id
        return json_response(reply, 202, {"Location": f"/operations/{operation_id}"})

    @route(
        "GET",
        "/operations/{operation_id:uuid}",
        operation_id="getBulkOperation",
        summary="Read a bulk operation",
        tags=["bulk operations"],
        response_model=BulkOperation,
        response_description="How far it is.",
        responses={200: _ANSWER},
        errors=[*UNAVAILABLE, BulkOperationNotFoundError],
    )
    async def get(self, operation_id: OperationId) -> Response:
        """Read how far a bulk operation is. One that was completed is kept for 7 days."""
        return json_response(await self._store.ask(registry.GET_BULK, GetBulkOperation(id=operation_id)), 200)
