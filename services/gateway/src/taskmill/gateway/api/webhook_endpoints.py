"""Endpoints of webhooks, their deliveries, and replays."""

import base64
import secrets
from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import Body, Path, Query, Request, Response
from pydantic import BaseModel

from taskmill.contracts import registry
from taskmill.contracts.errors import (
    DeliveryNotFoundError,
    IdempotencyKeyReusedError,
    QueueFullError,
    RemoteError,
    ReplayNotFoundError,
    RevisionMismatchError,
    RunActiveError,
    TaskNotFoundError,
    TooManyReplaysError,
    TooManyWebhooksError,
    WebhookNotFoundError,
)
from taskmill.contracts.requests import (
    CancelTask,
    GetTask,
    IdempotencyKey,
    ListTasks,
    ProcessTask,
    TaskFilter,
    TaskPage,
)
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import Task
from taskmill.contracts.webhooks import (
    DELIVERY_KIND,
    WEBHOOK_LABEL,
    CreateWebhook,
    DeleteWebhook,
    Delivery,
    DeliveryPage,
    GetReplay,
    GetWebhook,
    ListWebhooks,
    NewReplay,
    Replay,
    RotateWebhookSecret,
    StartReplay,
    UpdateWebhook,
    Webhook,
    WebhookPage,
    WebhookWithSecret,
)
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api import examples
from taskmill.gateway.api.bodies import NO_OPTIONS, NoOptions
from taskmill.gateway.api.conditional import etag, expected_revision, is_unmodified
from taskmill.gateway.api.idempotency import IdempotencyKeyHeader, idempotency, json_response
from taskmill.gateway.api.pages import NEXT, page_response
from taskmill.gateway.api.queries import PageQuery
from taskmill.gateway.api.routes import REPLAYED, UNAVAILABLE, TaskId, location, route
from taskmill.gateway.api.task_endpoints import MERGE_PATCH, IfMatch, IfNoneMatch
from taskmill.gateway.api.webhook_bodies import (
    ROTATION,
    NewSubjectReplay,
    NewWebhook,
    Rotation,
    WebhookPatch,
    delivery_of,
    is_delivery_of,
)
from taskmill.runtime.reply import Reply

SECRET_BYTES = 32

WebhookId = Annotated[UUID, Path(description="The webhook's id, a UUID.")]
ReplayId = Annotated[UUID, Path(description="The replay's id, a UUID.")]

_WEBHOOK = "/webhooks/{webhook_id:uuid}"

_ON_A_WEBHOOK = [*UNAVAILABLE, WebhookNotFoundError]
_ON_A_CHANGE = [*_ON_A_WEBHOOK, RevisionMismatchError]

_ETAG = {"ETag": {"description": "The webhook's revision.", "schema": {"type": "string", "pattern": '^"[0-9]+"$'}}}
_ANSWER: dict[str, Any] = {"headers": _ETAG, **examples.answer(examples.WEBHOOK)}
_SECRET_ANSWER: dict[str, Any] = {"headers": _ETAG, **examples.answer(examples.WEBHOOK_WITH_SECRET)}
_REPLAY_ANSWER = {"headers": {**location("The replay's path."), **REPLAYED}, **examples.answer(examples.REPLAY)}


class _Head(BaseModel):
    """The fields of a webhook or a replay that the gateway reads."""

    id: UUID
    revision: int = 0


class WebhookEndpoints:
    """What can be done with webhooks.

    Args:
        new_id: Makes the id of a new webhook or replay, a UUID of version 7.
    """

    def __init__(self, store: Store, new_id: Callable[[], UUID]) -> None:
        self._store = store
        self._new_id = new_id

    @route(
        "POST",
        "/webhooks",
        operation_id="createWebhook",
        summary="Create a webhook",
        tags=["webhooks"],
        status_code=201,
        response_model=WebhookWithSecret,
        response_description="The webhook is told what happens from now on.",
        responses={201: {**_SECRET_ANSWER, "headers": {**_ETAG, **location("The webhook's path."), **REPLAYED}}},
        errors=[*UNAVAILABLE, TooManyWebhooksError, IdempotencyKeyReusedError],
    )
    async def create(
        self,
        body: Annotated[NewWebhook, Body(openapi_examples=examples.body(examples.NEW_WEBHOOK))],
        idempotency_key: IdempotencyKeyHeader = None,
    ) -> Response:
        """Have events sent to a URL: those that meet every condition that is given, signed as Standard Webhooks has it.

        The secret is shown in this answer only, and when the request is repeated under its `Idempotency-Key`. The guide
        is docs/webhooks.md.
        """
        given = body.model_dump(exclude_unset=True, exclude={"secret"})
        given |= _keyed(idempotency(idempotency_key, "POST /webhooks", body))
        request = CreateWebhook(id=self._new_id(), secret=body.secret or _new_secret(), **given)
        reply = await self._store.ask(registry.CREATE_WEBHOOK, request)
        return json_response(reply, 201, {"Location": f"/webhooks/{_head(reply).id}", **_etag(reply)})

    @route(
        "GET",
        "/webhooks",
        operation_id="listWebhooks",
        summary="List the webhooks",
        tags=["webhooks"],
        response_model=WebhookPage,
        response_description="A page of webhooks.",
        responses={200: {"headers": NEXT, **examples.answer(examples.WEBHOOK_PAGE)}},
        errors=UNAVAILABLE,
    )
    async def list(self, request: Request, query: Annotated[PageQuery, Query()]) -> Response:
        """Read a page of the webhooks, oldest first, without their secrets."""
        wanted = ListWebhooks(limit=query.limit, cursor=query.cursor)
        return page_response(request, await self._store.ask(registry.LIST_WEBHOOKS, wanted))

    @route(
        "GET",
        _WEBHOOK,
        operation_id="getWebhook",
        summary="Read a webhook",
        tags=["webhooks"],
        response_model=Webhook,
        response_description="The webhook, without its secrets.",
        responses={200: _ANSWER, 304: {"description": "The client has this revision.", "headers": _ETAG}},
        errors=_ON_A_WEBHOOK,
    )
    async def get(self, webhook_id: WebhookId, if_none_match: IfNoneMatch = None) -> Response:
        """Read a webhook. `switched_off_reason` tells why it is off."""
        reply = await self._store.ask(registry.GET_WEBHOOK, GetWebhook(id=webhook_id))
        if is_unmodified(if_none_match, _head(reply).revision):
            return Response(status_code=304, headers=_etag(reply))
        return json_response(reply, 200, _etag(reply))

    @route(
        "PATCH",
        _WEBHOOK,
        operation_id="patchWebhook",
        summary="Change a webhook by a merge patch",
        tags=["webhooks"],
        response_model=Webhook,
        response_description="The webhook, changed.",
        responses={200: _ANSWER},
        errors=_ON_A_CHANGE,
    )
    async def patch(
        self,
        webhook_id: WebhookId,
        body: Annotated[
            WebhookPatch, Body(media_type=MERGE_PATCH, openapi_examples=examples.body(examples.WEBHOOK_PATCH))
        ],
        if_match: IfMatch = None,
    ) -> Response:
        """Change a webhook by a merge patch (RFC 7396). The body may also be sent as `application/json`.

        A change of the URL counts for deliveries that wait, too. One that is switched on is told what happens from then
        on; what it missed may be replayed.
        """
        revision = await self._expected_revision(webhook_id, if_match)
        request = UpdateWebhook(id=webhook_id, changes=body.changes(), expected_revision=revision)
        reply = await self._store.ask(registry.UPDATE_WEBHOOK, request)
        return json_response(reply, 200, _etag(reply))

    @route(
        "DELETE",
        _WEBHOOK,
        operation_id="deleteWebhook",
        summary="Delete a webhook",
        tags=["webhooks"],
        status_code=204,
        response_description="The webhook is gone.",
        errors=_ON_A_CHANGE,
    )
    async def delete(self, webhook_id: WebhookId, if_match: IfMatch = None) -> Response:
        """Delete a webhook. Deliveries that wait fail with `webhook_deleted`, without being sent."""
        revision = await self._expected_revision(webhook_id, if_match)
        await self._store.ask(registry.DELETE_WEBHOOK, DeleteWebhook(id=webhook_id, expected_revision=revision))
        return Response(status_code=204)

    @route(
        "POST",
        f"{_WEBHOOK}/rotate",
        operation_id="rotateWebhookSecret",
        summary="Give a webhook a new secret",
        tags=["webhooks"],
        response_model=WebhookWithSecret,
        response_description="Deliveries are signed with the new secret, and with the one before.",
        responses={200: _SECRET_ANSWER},
        errors=_ON_A_CHANGE,
    )
    async def rotate(
        self,
        webhook_id: WebhookId,
        body: Annotated[Rotation, Body(openapi_examples=examples.body({}))] = ROTATION,
        if_match: IfMatch = None,
    ) -> Response:
        """Sign with a new secret from now on, and still with the one before, until the next rotation.

        The secret is shown in this answer only.
        """
        revision = await self._expected_revision(webhook_id, if_match)
        secret = body.secret or _new_secret()
        request = RotateWebhookSecret(id=webhook_id, secret=secret, expected_revision=revision)
        reply = await self._store.ask(registry.ROTATE_WEBHOOK, request)
        return json_response(reply, 200, _etag(reply))

    @route(
        "GET",
        f"{_WEBHOOK}/deliveries",
        operation_id="listDeliveries",
        summary="List the deliveries to a webhook",
        tags=["webhooks"],
        response_model=DeliveryPage,
        response_description="A page of deliveries.",
        responses={200: {"headers": NEXT, **examples.answer(examples.DELIVERY_PAGE)}},
        errors=_ON_A_WEBHOOK,
    )
    async def deliveries(
        self, request: Request, webhook_id: WebhookId, query: Annotated[PageQuery, Query()]
    ) -> Response:
        """Read a page of what became of the events that a webhook was to be told, newest first."""
        conditions = TaskFilter(kind=DELIVERY_KIND, labels={WEBHOOK_LABEL: str(webhook_id)})
        wanted = ListTasks(filter=conditions, limit=query.limit, cursor=query.cursor)
        tasks = TaskPage.model_validate_json((await self._store.ask(registry.LIST, wanted)).body)
        if not tasks.items:
            # One that was told nothing has no deliveries; one that does not exist is an error.
            await self._store.ask(registry.GET_WEBHOOK, GetWebhook(id=webhook_id))
        page = DeliveryPage(items=[delivery_of(task) for task in tasks.items], next_cursor=tasks.next_cursor)
        return page_response(request, Reply(page.model_dump_json().encode()))

    @route(
        "POST",
        f"{_WEBHOOK}/deliveries/{{task_id:uuid}}/redeliver",
        operation_id="redeliver",
        summary="Deliver an event again",
        tags=["webhooks"],
        status_code=202,
        response_model=Delivery,
        response_description="It will be sent.",
        responses={202: {"headers": location("The path of its task."), **examples.answer(examples.DELIVERY)}},
        errors=[*UNAVAILABLE, DeliveryNotFoundError, RunActiveError, QueueFullError],
    )
    async def redeliver(
        self,
        webhook_id: WebhookId,
        task_id: TaskId,
        body: Annotated[NoOptions, Body(openapi_examples=examples.body({}))] = NO_OPTIONS,  # noqa: ARG002
    ) -> Response:
        """Send an event again, at once, as if for the first time: with the same `webhook-id`, and all its attempts.

        Also one that waits to be tried again; but not one that is being sent.
        """
        task = await self._task_of_delivery(task_id)
        if not is_delivery_of(task, webhook_id):
            raise DeliveryNotFoundError
        if task.status is TaskStatus.SCHEDULED:
            # What is lost between the two is done when it is asked for again.
            await self._store.ask(registry.CANCEL, CancelTask(id=task_id))
        reply = await self._store.ask(registry.PROCESS, ProcessTask(id=task_id))
        delivery = delivery_of(Task.model_validate_json(reply.body)).model_dump_json().encode()
        return json_response(Reply(delivery), 202, {"Location": f"/tasks/{task_id}"})

    @route(
        "POST",
        f"{_WEBHOOK}/replay",
        operation_id="replayToWebhook",
        summary="Tell a webhook a span of the log again",
        tags=["webhooks"],
        status_code=202,
        response_model=Replay,
        response_description="The replay is stored, and will be carried out.",
        responses={202: _REPLAY_ANSWER},
        errors=[*_ON_A_WEBHOOK, TooManyReplaysError, IdempotencyKeyReusedError],
    )
    async def replay(
        self,
        webhook_id: WebhookId,
        body: Annotated[NewReplay, Body(openapi_examples=examples.body(examples.NEW_REPLAY))],
        idempotency_key: IdempotencyKeyHeader = None,
    ) -> Response:
        """Deliver what happened behind a position of the log, whether it was delivered before or not.

        The conditions are those of the replay, not the webhook's. Each delivery has the header `Taskmill-Replay`.
        """
        key = idempotency(idempotency_key, f"POST /webhooks/{webhook_id}/replay", body)
        return await self._replay(body, key, webhook_id=webhook_id)

    @route(
        "POST",
        "/events/replay",
        operation_id="replayToSubject",
        summary="Publish a span of the log again",
        tags=["history"],
        status_code=202,
        response_model=Replay,
        response_description="The replay is stored, and will be carried out.",
        responses={202: _REPLAY_ANSWER},
        errors=[*UNAVAILABLE, TooManyReplaysError, IdempotencyKeyReusedError],
    )
    async def replay_to_subject(
        self,
        body: Annotated[NewSubjectReplay, Body(openapi_examples=examples.body(examples.NEW_SUBJECT_REPLAY))],
        idempotency_key: IdempotencyKeyHeader = None,
    ) -> Response:
        """Publish what happened behind a position of the log to the NATS subject `tasks.v1.replay.<name>`, in order.

        With core NATS: whoever wants it subscribes before. Each message has the header `Taskmill-Replay`.
        """
        return await self._replay(body, idempotency(idempotency_key, "POST /events/replay", body))

    @route(
        "GET",
        "/replays/{replay_id:uuid}",
        operation_id="getReplay",
        summary="Read a replay",
        tags=["history"],
        response_model=Replay,
        response_description="How far it is.",
        responses={200: examples.answer(examples.REPLAY)},
        errors=[*UNAVAILABLE, ReplayNotFoundError],
    )
    async def get_replay(self, replay_id: ReplayId) -> Response:
        """Read how far a replay is. One that was completed is kept for 7 days, and goes with its webhook."""
        return json_response(await self._store.ask(registry.GET_REPLAY, GetReplay(id=replay_id)), 200)

    async def _replay(self, body: NewReplay, key: IdempotencyKey | None, **target: UUID) -> Response:
        given = {**body.model_dump(exclude_unset=True), **_keyed(key)}
        request = StartReplay(id=self._new_id(), **target, **given)
        reply = await self._store.ask(registry.START_REPLAY, request)
        return json_response(reply, 202, {"Location": f"/replays/{_head(reply).id}"})

    async def _task_of_delivery(self, task_id: UUID) -> Task:
        try:
            reply = await self._store.ask(registry.GET, GetTask(id=task_id))
        except RemoteError as error:
            if error.problem().code == TaskNotFoundError.code:
                raise DeliveryNotFoundError from error
            raise
        return Task.model_validate_json(reply.body)

    async def _expected_revision(self, webhook_id: UUID, if_match: str | None) -> int | None:
        async def read_revision() -> int:
            return _head(await self._store.ask(registry.GET_WEBHOOK, GetWebhook(id=webhook_id))).revision

        return await expected_revision(if_match, read_revision)


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _keyed(key: IdempotencyKey | None) -> dict[str, IdempotencyKey]:
    """A request's field; left out without a key, for a store of the release before does not know it."""
    return {} if key is None else {"idempotency": key}


def _head(reply: Reply) -> _Head:
    return _Head.model_validate_json(reply.body)


def _etag(reply: Reply) -> dict[str, str]:
    return {"ETag": etag(_head(reply).revision)}
