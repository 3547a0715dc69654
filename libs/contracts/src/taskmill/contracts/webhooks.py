"""Webhooks: events told by HTTP, signed as Standard Webhooks has it; and replays of the log.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, JsonValue, StringConstraints, model_validator
from pydantic_core import PydanticCustomError, Url
from pydantic_core import ValidationError as CoreValidationError

from taskmill.contracts.conditions import EventConditions
from taskmill.contracts.limits import (
    DEFAULT_PAGE_ITEMS,
    MAX_REPLAY_EVENTS,
    MAX_WEBHOOK_DESCRIPTION_CHARS,
    MAX_WEBHOOK_URL_CHARS,
)
from taskmill.contracts.log import Position
from taskmill.contracts.patterns import NAME_PATTERN, VISIBLE_ASCII_PATTERN
from taskmill.contracts.requests import Cursor, ExpectedRevision, KeyedRequest, PageLimit, Request
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import WITHOUT_NUL, Instant, NextCursor, TaskError, WireModel

WEBHOOKS_QUEUE = "webhooks"
"""The queue of deliveries. Events of its tasks are never delivered, or each delivery would ask for another."""

DELIVERY_KIND = "webhook-delivery"
"""The kind of deliveries, whose events are not delivered either, wherever a client has moved one."""

WEBHOOK_LABEL = "taskmill/webhook"
EVENT_LABEL = "taskmill/event"
REPLAY_LABEL = "taskmill/replay"
"""Labels of deliveries: the id of the webhook, of the event, and of the replay that asked for it."""

DELIVERY_LADDER_SECONDS = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""The wait before each further attempt of a delivery, as the specification of Standard Webhooks suggests it."""

DELIVERY_ATTEMPTS = 1 + len(DELIVERY_LADDER_SECONDS)

REPLAY_HEADER = "Taskmill-Replay"
"""On what is told again, over NATS and HTTP: the id of the replay."""

_SECRET_PREFIX = "whsec_"  # noqa: S105 -- what secrets begin with


# Some readers of URLs mend what is none: `http:a`, `http:///a`, and `\` for `/`. Others then see another host.
_AUTHORITY = re.compile(r"https?://([^/?#\\]+)([/?#][^\\]*)?", re.IGNORECASE)


def _is_http_url(url: str) -> str:
    authority = _AUTHORITY.fullmatch(url)
    try:
        parsed = Url(url)
    except (ValueError, CoreValidationError):
        parsed = None
    if authority is None or parsed is None or not parsed.host or parsed.port == 0:
        raise PydanticCustomError("url", "Input should be an absolute http or https URL")
    if "@" in authority[1]:
        detail = "Input should be a URL without user and password: whoever may read webhooks would see them"
        raise PydanticCustomError("url_credentials", detail)
    return url


_BASE64 = "[A-Za-z0-9+/]"
_SECRET_PATTERN = (
    f"^{_SECRET_PREFIX}(({_BASE64}{{4}}){{8,21}}({_BASE64}{{2}}==)?|({_BASE64}{{4}}){{8,20}}{_BASE64}{{3}}=)$"
)
"""What can be said of a secret in JSON Schema, which is all of it."""


def _is_secret(secret: str) -> str:
    try:
        size = len(base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True))
    except binascii.Error:
        size = 0
    if not (secret.startswith(_SECRET_PREFIX) and 24 <= size <= 64):
        detail = "Input should be `whsec_` and 24 to 64 bytes in Base64"
        raise PydanticCustomError("webhook_secret", detail)
    return secret


Secret = Annotated[
    str,
    StringConstraints(max_length=100),
    AfterValidator(_is_secret),
    Field(
        description="What deliveries are signed with: `whsec_` and 24 to 64 bytes in Base64.",
        json_schema_extra={"pattern": _SECRET_PATTERN},
    ),
]
WebhookUrl = Annotated[
    str,
    StringConstraints(pattern=VISIBLE_ASCII_PATTERN, max_length=MAX_WEBHOOK_URL_CHARS),
    AfterValidator(_is_http_url),
    Field(
        description="Where events are sent: an absolute http or https URL of ASCII characters, without user and "
        "password. Up to 2,048.",
        examples=["https://example.org/hooks/taskmill"],
    ),
]


WebhookDescription = Annotated[
    Annotated[str, StringConstraints(max_length=MAX_WEBHOOK_DESCRIPTION_CHARS), WITHOUT_NUL] | None,
    Field(description="What it is for, for people. Up to 1,000 characters."),
]


class WebhookFields(EventConditions):
    """All that a client may say of a webhook, with what holds when it does not. Without conditions: every event."""

    url: WebhookUrl
    description: WebhookDescription = None
    is_enabled: Annotated[
        bool,
        Field(description="Whether events are delivered. Those that happen while it is off are not, later either."),
    ] = True


class CreateWebhook(KeyedRequest, WebhookFields):
    """Create a webhook, which is told what happens from now on. Replied to with `WebhookWithSecret`."""

    id: Annotated[UUID, Field(description="The new webhook's id: a UUID, version 7, made by the caller.")]
    secret: Secret


class WebhookRequest(Request):
    """Base of what is asked of one webhook."""

    id: UUID


class GetWebhook(WebhookRequest):
    """Read a webhook. Replied to with `Webhook`."""


class ListWebhooks(Request):
    """Read a page of webhooks, oldest first. Replied to with `WebhookPage`."""

    limit: PageLimit = DEFAULT_PAGE_ITEMS
    cursor: Cursor | None = None


class UpdateWebhook(WebhookRequest):
    """Change a webhook. Replied to with `Webhook`.

    The store applies `changes` to the webhook's fields as RFC 7396 does, and the outcome must be `WebhookFields`.
    """

    changes: Annotated[dict[str, JsonValue], Field(description="New values by field; null: as when it was left out.")]
    expected_revision: ExpectedRevision = None


class DeleteWebhook(WebhookRequest):
    """Delete a webhook; deliveries that wait end without being sent. Replied to with `DeleteWebhookReply`."""

    expected_revision: ExpectedRevision = None


class DeleteWebhookReply(WireModel):
    """The webhook is gone."""

    id: UUID


class RotateWebhookSecret(WebhookRequest):
    """Sign with a new secret, too; an older one than the newest so far is forgotten.

    Replied to with `WebhookWithSecret`.
    """

    secret: Secret
    expected_revision: ExpectedRevision = None


class SwitchOffReason(StrEnum):
    """Why a webhook is off."""

    CLIENT = "client"
    """A client wanted it."""

    GONE = "gone"
    """The receiver answered 410."""


class Webhook(WebhookFields, WireModel):
    """A webhook as clients see it: without its secrets."""

    id: Annotated[UUID, Field(description="Identifies the webhook: a UUID, version 7.")]
    switched_off_reason: Annotated[
        SwitchOffReason | None,
        Field(description="client: a client wanted it; gone: its receiver answered 410; null: it is on."),
    ] = None
    secret_count: Annotated[int, Field(ge=1, le=2, description="How many secrets deliveries are signed with.")]
    revision: Annotated[int, Field(ge=1, description="Rises with every change: the ETag.")]
    created_at: Instant
    updated_at: Instant


class WebhookWithSecret(Webhook):
    """A webhook with its newest secret, which is never shown again."""

    secret: Secret


class WebhookPage(WireModel):
    """A page of webhooks, oldest first."""

    items: Annotated[list[Webhook], Field(description="The webhooks. Up to 200.")]
    next_cursor: NextCursor = None


class PrepareDelivery(Request):
    """What a delivery needs, as it is now: asked before each attempt. Replied to with `PreparedDelivery`."""

    webhook_id: UUID
    position: Position


class PreparedDelivery(WireModel):
    """What a delivery needs. It holds secrets, so it is never shown to clients."""

    url: str
    secrets: Annotated[list[str], Field(description="The newest first.")]
    is_enabled: bool
    revision: int
    document: Annotated[str | None, Field(description="The `TaskEvent` as JSON text; null: the log has it no more.")]


class SwitchOffWebhook(WebhookRequest):
    """Switch a webhook off that its receiver has given up. One that has changed since stays on.

    Replied to with `Webhook`.
    """

    revision: Annotated[int, Field(ge=1, description="The revision that the delivery was prepared with.")]


class Delivery(WireModel):
    """What became of telling a webhook an event. It is the task `task_id`, which tells more."""

    task_id: Annotated[UUID, Field(description="The task that is the delivery.")]
    event_id: Annotated[str, Field(description="The event: the header `webhook-id` of every attempt.")]
    replay_id: Annotated[UUID | None, Field(description="The replay that asked for it; null: the event itself.")] = None
    status: Annotated[TaskStatus, Field(description="`completed`: it was accepted; `scheduled`: it is tried again.")]
    attempt: Annotated[int, Field(description="The newest attempt, or the one that is waited for.")]
    attempt_limit: Annotated[int, Field(description="The last attempt that there may be.")]
    next_attempt_at: Annotated[datetime | None, Field(description="When it is tried again.")] = None
    last_error: Annotated[TaskError | None, Field(description="Why the newest attempt failed.")] = None
    created_at: Instant
    updated_at: Instant
    finished_at: Annotated[datetime | None, Field(description="When it was accepted, or given up.")] = None


class DeliveryPage(WireModel):
    """A page of deliveries."""

    items: Annotated[list[Delivery], Field(description="The deliveries, newest first. Up to 200.")]
    next_cursor: NextCursor = None


class NewReplay(EventConditions):
    """A span of the log that is to be told again."""

    after: Annotated[Position, Field(description="Events behind this position.")]
    until: Annotated[
        Position | None, Field(description="Up to and with this position; null: up to the newest when it is asked for.")
    ] = None

    @model_validator(mode="after")
    def _spans_forwards(self) -> Self:
        if self.until is not None and not 0 <= self.until - self.after <= MAX_REPLAY_EVENTS:
            detail = f"`until` should be 0 to {MAX_REPLAY_EVENTS} behind `after`"
            raise PydanticCustomError("replay_span", detail)
        return self


ReplayName = Annotated[
    str,
    StringConstraints(pattern=NAME_PATTERN),
    Field(description="Events are published to `tasks.v1.replay.<this name>`.", examples=["billing"]),
]


class StartReplay(KeyedRequest, NewReplay):
    """Begin a replay, to a webhook or to a subject. Replied to with `Replay`."""

    id: Annotated[UUID, Field(description="The new replay's id: a UUID, version 7, made by the caller.")]
    webhook_id: UUID | None = None
    name: ReplayName | None = None


class GetReplay(Request):
    """Read a replay. Replied to with `Replay`."""

    id: UUID


class ReplayStatus(StrEnum):
    """Where a replay stands."""

    RUNNING = "running"
    COMPLETED = "completed"


class Replay(EventConditions, WireModel):
    """A replay as it stands."""

    id: Annotated[UUID, Field(description="Identifies the replay: a UUID, version 7.")]
    webhook_id: Annotated[UUID | None, Field(description="The webhook that is told; null: a subject.")] = None
    subject: Annotated[str | None, Field(description="The subject that is published to; null: a webhook.")] = None
    after: Position
    until: Position
    status: Annotated[ReplayStatus, Field(description="`running` until everything was told, then `completed`.")]
    position: Annotated[Position, Field(description="Up to where it is.")]
    told: Annotated[int, Field(ge=0, description="Events that were published, or whose delivery was queued, so far.")]
    created_at: Instant
    finished_at: Annotated[datetime | None, Field(description="When it was completed; null: it is running.")] = None
