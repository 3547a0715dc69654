"""Which events a webhook is told, and the tasks that tell them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import orjson
from pydantic import TypeAdapter

from taskmill.contracts import subjects
from taskmill.contracts.conditions import wanted_labels
from taskmill.contracts.ids import repeatable_id
from taskmill.contracts.json_text import read_json
from taskmill.contracts.requests import CreateTask
from taskmill.contracts.webhooks import (
    DELIVERY_ATTEMPTS,
    DELIVERY_KIND,
    EVENT_LABEL,
    REPLAY_LABEL,
    WEBHOOK_LABEL,
    WEBHOOKS_QUEUE,
    CreateWebhook,
    Replay,
    ReplayStatus,
    StartReplay,
    SwitchOffReason,
    Webhook,
    WebhookFields,
    WebhookWithSecret,
)
from taskmill.task_store.domain.editing import merge_patch

_FIELDS: TypeAdapter[WebhookFields] = TypeAdapter(WebhookFields)


class Conditions(Protocol):
    """What a webhook and a replay have in common: which events they want. Empty, and None: any."""

    @property
    def types(self) -> Sequence[str]:
        """Of these types."""

    @property
    def kind(self) -> str | None:
        """Of this kind."""

    @property
    def queue(self) -> str | None:
        """Of this queue."""

    @property
    def labels(self) -> Sequence[str]:
        """With all these labels."""


class WebhookState(NamedTuple):
    """A webhook's row: these fields, in this order, are the columns of `webhooks`.

    Fields whose name is that of a field of `Webhook` of the contracts mean the same.
    """

    id: UUID
    url: str
    description: str | None
    types: list[str]
    kind: str | None
    queue: str | None
    labels: list[str]
    is_enabled: bool
    switched_off_reason: str | None
    secrets: list[str]
    """What deliveries are signed with, the newest first."""
    since_position: int
    """Events behind it are delivered: where the log ended when the webhook was made, or switched on last."""
    revision: int
    created_at: datetime
    updated_at: datetime


class ReplayState(NamedTuple):
    """A replay's row: these fields, in this order, are the columns of `replays`.

    Fields whose name is that of a field of `Replay` of the contracts mean the same.
    """

    id: UUID
    webhook_id: UUID | None
    name: str | None
    types: list[str]
    kind: str | None
    queue: str | None
    labels: list[str]
    after: int
    until: int
    status: str
    position: int
    told: int
    created_at: datetime
    finished_at: datetime | None


class TellableEvent:
    """An event of the log, with what its document says read when it is asked for.

    Attributes:
        position: Where in the log it stands.
        type: What happened.
        kind: The kind of its task.
        document: The event as it was published.
    """

    def __init__(self, position: int, event_type: str, kind: str, document: str) -> None:
        self.position = position
        self.type = event_type
        self.kind = kind
        self.document = document

    @cached_property
    def _envelope(self) -> dict[str, Any]:
        envelope: dict[str, Any] = orjson.loads(self.document)
        return envelope

    @property
    def id(self) -> str:
        """`<task id>.<version>`."""
        return str(self._envelope["id"])

    @property
    def happened_at(self) -> datetime:
        """When it happened."""
        return datetime.fromisoformat(self._envelope["time"])

    @property
    def queue(self) -> str:
        """The queue of its task."""
        return str(self._envelope["data"]["queue"])

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of its task."""
        labels: dict[str, str] = self._envelope["data"].get("labels", {})
        return labels

    @property
    def is_of_delivery(self) -> bool:
        """Whether it tells of a delivery: to deliver it would ask for another one, for ever."""
        return self.kind == DELIVERY_KIND or self.queue == WEBHOOKS_QUEUE


def wants(conditions: Conditions, event: TellableEvent) -> bool:
    """Whether an event meets every condition that is given."""
    return (
        (not conditions.types or event.type in conditions.types)
        and conditions.kind in {None, event.kind}
        and conditions.queue in {None, event.queue}
        and all(
            key in event.labels and value in {None, event.labels[key]}
            for key, value in wanted_labels(conditions.labels).items()
        )
    )


def deliveries(
    webhooks: Sequence[WebhookState], events: Sequence[TellableEvent]
) -> list[tuple[TellableEvent, CreateTask]]:
    """The deliveries that events ask for, in their order."""
    return [
        (event, delivery(webhook.id, event))
        for event in events
        if not event.is_of_delivery
        for webhook in webhooks
        if event.position > webhook.since_position and wants(webhook, event)
    ]


def delivery(webhook_id: UUID, event: TellableEvent, replay_id: UUID | None = None) -> CreateTask:
    """The task that tells a webhook an event: always the same for the same."""
    labels = {WEBHOOK_LABEL: str(webhook_id), EVENT_LABEL: event.id}
    if replay_id is not None:
        labels[REPLAY_LABEL] = str(replay_id)
    return CreateTask(
        id=delivery_id(webhook_id, event, replay_id),
        title=f"Tell a webhook of {event.id}, {event.type}",
        kind=DELIVERY_KIND,
        queue=WEBHOOKS_QUEUE,
        labels=labels,
        # Whoever may read tasks may read this: neither address nor secret.
        payload={
            "webhook_id": str(webhook_id),
            "position": event.position,
            "event_id": event.id,
            "replay_id": None if replay_id is None else str(replay_id),
        },
        # Not left to what the kind declares, which is unknown until a processor has said hello.
        max_attempts=DELIVERY_ATTEMPTS,
        process=True,
    )


def delivery_id(webhook_id: UUID, event: TellableEvent, replay_id: UUID | None) -> UUID:
    """The id of a delivery's task: a delivery that is asked for again finds that it exists."""
    milliseconds = int(event.happened_at.timestamp() * 1000)
    return repeatable_id(milliseconds, f"{webhook_id} {event.id} {replay_id}")


def new_webhook(request: CreateWebhook, now: datetime) -> WebhookState:
    """A webhook that a client wants; where it begins in the log is left to who writes it."""
    return WebhookState(
        **_columns(request),
        id=request.id,
        secrets=[request.secret],
        since_position=0,
        revision=1,
        created_at=now,
        updated_at=now,
    )


def changed_webhook(webhook: WebhookState, changes: Mapping[str, Any], now: datetime) -> WebhookState:
    """A webhook as a merge patch leaves it.

    Raises:
        InvalidRequestError: The outcome is none.
    """
    current = {name: getattr(webhook, name) for name in WebhookFields.model_fields}
    outcome = read_json(_FIELDS, orjson.dumps(merge_patch(current, dict(changes))))
    columns = _columns(outcome)
    if not (outcome.is_enabled or webhook.is_enabled):
        columns["switched_off_reason"] = webhook.switched_off_reason
    return webhook._replace(**columns, updated_at=now)


def rotated_webhook(webhook: WebhookState, secret: str, now: datetime) -> WebhookState:
    """A webhook that signs with a new secret, and still with the newest so far."""
    secrets = list(dict.fromkeys([secret, webhook.secrets[0]]))
    return webhook._replace(secrets=secrets, updated_at=now)


def given_up_webhook(webhook: WebhookState, now: datetime) -> WebhookState:
    """A webhook whose receiver wants nothing any more."""
    return webhook._replace(is_enabled=False, switched_off_reason=SwitchOffReason.GONE, updated_at=now)


def new_replay(request: StartReplay, until: int, now: datetime) -> ReplayState:
    """A replay that a client wants."""
    return ReplayState(
        id=request.id,
        webhook_id=request.webhook_id,
        name=request.name,
        types=[event_type.value for event_type in request.types],
        kind=request.kind,
        queue=request.queue,
        labels=request.labels,
        after=request.after,
        until=until,
        status=ReplayStatus.RUNNING,
        position=request.after,
        told=0,
        created_at=now,
        finished_at=None,
    )


def webhook_document(webhook: WebhookState) -> bytes:
    """A `Webhook`."""
    return Webhook.model_validate(_told(webhook)).model_dump_json().encode()


def webhook_with_secret_document(webhook: WebhookState) -> bytes:
    """A `WebhookWithSecret`."""
    told = {**_told(webhook), "secret": webhook.secrets[0]}
    return WebhookWithSecret.model_validate(told).model_dump_json().encode()


def replay_document(replay: ReplayState) -> bytes:
    """A `Replay`."""
    subject = None if replay.name is None else subjects.replay(replay.name)
    return Replay.model_validate({**replay._asdict(), "subject": subject}).model_dump_json().encode()


def _told(webhook: WebhookState) -> dict[str, Any]:
    return {**webhook._asdict(), "secret_count": len(webhook.secrets)}


def _columns(fields: WebhookFields) -> dict[str, Any]:
    columns = {name: getattr(fields, name) for name in WebhookFields.model_fields}
    columns["types"] = [event_type.value for event_type in fields.types]
    columns["switched_off_reason"] = None if fields.is_enabled else SwitchOffReason.CLIENT
    return columns
