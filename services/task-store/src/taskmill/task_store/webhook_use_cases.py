"""What requests about webhooks and replays ask of the store: from the request to the body of the reply.

A webhook is no task: it is changed by itself, if it is still as it was read. `DatabaseUnavailableError` may come from
any of them.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar
from uuid import UUID

from taskmill.contracts.errors import (
    DatabaseUnavailableError,
    FieldProblem,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    RevisionMismatchError,
)
from taskmill.contracts.limits import MAX_REPLAY_EVENTS
from taskmill.contracts.log import ReadLog
from taskmill.contracts.requests import REPLAYED_HEADER, KeyedRequest
from taskmill.contracts.webhooks import (
    CreateWebhook,
    DeleteWebhook,
    DeleteWebhookReply,
    GetReplay,
    GetWebhook,
    ListWebhooks,
    PreparedDelivery,
    PrepareDelivery,
    RotateWebhookSecret,
    StartReplay,
    SwitchOffWebhook,
    UpdateWebhook,
)
from taskmill.runtime.reply import Reply
from taskmill.task_store.domain.cursors import id_cursor, parse_id_cursor
from taskmill.task_store.domain.documents import page_of
from taskmill.task_store.domain.idempotency import ID_TAKEN, KeyedAnswer, key_name
from taskmill.task_store.domain.webhooks import (
    WebhookState,
    changed_webhook,
    given_up_webhook,
    new_replay,
    new_webhook,
    replay_document,
    rotated_webhook,
    webhook_document,
    webhook_with_secret_document,
)
from taskmill.task_store.errors import KeyTakenError
from taskmill.task_store.use_cases import Ports

MAX_TRIES = 5
"""So often a change is made anew that somebody else came before."""

_Add = Callable[[KeyedAnswer | None], Awaitable[None]]

_Outcome = TypeVar("_Outcome")


async def create_webhook(ports: Ports, request: CreateWebhook) -> bytes | Reply:
    """`CreateWebhook` → `WebhookWithSecret`. Raises `TooManyWebhooksError`, `IdempotencyKeyReusedError`."""

    async def create() -> tuple[bytes, _Add]:
        webhook = new_webhook(request, ports.now())
        return webhook_with_secret_document(webhook), partial(ports.webhooks.add, webhook)

    answer = await _once(ports, request, create)
    ports.on_webhook()
    return answer


async def get_webhook(ports: Ports, request: GetWebhook) -> bytes:
    """`GetWebhook` → `Webhook`. Raises `WebhookNotFoundError`."""
    return webhook_document(await ports.webhooks.webhook(request.id))


async def list_webhooks(ports: Ports, request: ListWebhooks) -> bytes:
    """`ListWebhooks` → `WebhookPage`."""
    found = await ports.webhooks.webhooks(behind=parse_id_cursor(request.cursor), limit=request.limit + 1)
    return page_of(found, request.limit, webhook_document, lambda webhook: id_cursor(webhook.id))


async def update_webhook(ports: Ports, request: UpdateWebhook) -> bytes:
    """`UpdateWebhook` → `Webhook`. Raises `WebhookNotFoundError`, `RevisionMismatchError`, `InvalidRequestError`."""

    async def update(webhook: WebhookState) -> WebhookState | None:
        return await ports.webhooks.change(changed_webhook(webhook, request.changes, ports.now()))

    changed = await _change(ports, request.id, request.expected_revision, update)
    ports.on_webhook()
    return webhook_document(changed)


async def rotate_webhook(ports: Ports, request: RotateWebhookSecret) -> bytes:
    """`RotateWebhookSecret` → `WebhookWithSecret`. Raises `WebhookNotFoundError`, `RevisionMismatchError`."""

    async def rotate(webhook: WebhookState) -> WebhookState | None:
        return await ports.webhooks.change(rotated_webhook(webhook, request.secret, ports.now()))

    return webhook_with_secret_document(await _change(ports, request.id, request.expected_revision, rotate))


async def delete_webhook(ports: Ports, request: DeleteWebhook) -> bytes:
    """`DeleteWebhook` → `DeleteWebhookReply`. Raises `WebhookNotFoundError`, `RevisionMismatchError`."""

    async def delete(webhook: WebhookState) -> WebhookState | None:
        return webhook if await ports.webhooks.delete(webhook) else None

    deleted = await _change(ports, request.id, request.expected_revision, delete)
    return DeleteWebhookReply(id=deleted.id).model_dump_json().encode()


async def switch_off_webhook(ports: Ports, request: SwitchOffWebhook) -> bytes:
    """`SwitchOffWebhook` → `Webhook`, off, or as it is if it has changed since. Raises `WebhookNotFoundError`."""
    webhook = await ports.webhooks.webhook(request.id)
    if webhook.revision == request.revision:
        changed = await ports.webhooks.change(given_up_webhook(webhook, ports.now()))
        webhook = changed or await ports.webhooks.webhook(request.id)
    return webhook_document(webhook)


async def prepare_delivery(ports: Ports, request: PrepareDelivery) -> bytes:
    """`PrepareDelivery` → `PreparedDelivery`. Raises `WebhookNotFoundError`."""
    webhook = await ports.webhooks.webhook(request.webhook_id)
    prepared = PreparedDelivery(
        url=webhook.url,
        secrets=webhook.secrets,
        is_enabled=webhook.is_enabled,
        revision=webhook.revision,
        document=await ports.webhooks.document(request.position),
    )
    return prepared.model_dump_json().encode()


async def start_replay(ports: Ports, request: StartReplay) -> bytes | Reply:
    """`StartReplay` → `Replay`.

    Raises `WebhookNotFoundError`, `TooManyReplaysError`, `InvalidRequestError`, `IdempotencyKeyReusedError`.
    """

    async def start() -> tuple[bytes, _Add]:
        if request.webhook_id is not None:
            await ports.webhooks.webhook(request.webhook_id)
        newest = (await ports.log.read(ReadLog())).newest
        if request.after > newest:
            detail = f"The log ends before it, at {newest}."
            raise InvalidRequestError(errors=[FieldProblem(pointer="/after", detail=detail, code="replay_span")])
        until = newest if request.until is None else min(request.until, newest)
        if until - request.after > MAX_REPLAY_EVENTS:
            detail = f"The newest event is more than {MAX_REPLAY_EVENTS} behind it: say `until`."
            raise InvalidRequestError(errors=[FieldProblem(pointer="/after", detail=detail, code="replay_span")])
        replay = new_replay(request, until, ports.now())
        return replay_document(replay), partial(ports.webhooks.add_replay, replay)

    answer = await _once(ports, request, start)
    ports.on_replay()
    return answer


async def get_replay(ports: Ports, request: GetReplay) -> bytes:
    """`GetReplay` → `Replay`. Raises `ReplayNotFoundError`."""
    return replay_document(await ports.webhooks.replay(request.id))


async def _once(
    ports: Ports, request: KeyedRequest, make: Callable[[], Awaitable[tuple[bytes, _Add]]]
) -> bytes | Reply:
    """Add what a request wants; under a key that was used, answer as then, however many come at the same moment.

    Args:
        ports: Knows the keys.
        request: It may have a key.
        make: Returns what to answer, and what adds it together with the answer under the key.
    """
    key = request.idempotency
    if key is None:
        document, add = await make()
        try:
            await add(None)
        except KeyTakenError as error:
            # There is no other key than the id.
            raise InvalidRequestError(errors=[ID_TAKEN]) from error
        return document
    name = key_name(request, key)
    stored = await ports.webhooks.answer(name)
    if stored is None:
        document, add = await make()
        try:
            await add(KeyedAnswer(*name, key.fingerprint, document.decode(), ports.now()))
        except KeyTakenError:
            stored = await ports.webhooks.answer(name)
        else:
            return document
    if stored is None:
        raise DatabaseUnavailableError("The idempotency key was forgotten at the same moment.")
    if stored.fingerprint != key.fingerprint:
        raise IdempotencyKeyReusedError
    return Reply(stored.answer.encode(), {REPLAYED_HEADER: "true"})


async def _change(
    ports: Ports,
    webhook_id: UUID,
    expected_revision: int | None,
    change: Callable[[WebhookState], Awaitable[_Outcome | None]],
) -> _Outcome:
    """Change a webhook as it is now, again if somebody else came before."""
    for _ in range(MAX_TRIES):
        webhook = await ports.webhooks.webhook(webhook_id)
        if expected_revision not in {None, webhook.revision}:
            raise RevisionMismatchError
        outcome = await change(webhook)
        if outcome is not None:
            return outcome
    raise DatabaseUnavailableError("Others kept changing the webhook at the same moment.")
