"""What clients send, and are answered, where webhooks are concerned."""

from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue

from taskmill.contracts.conditions import EventTypes, LabelConditions
from taskmill.contracts.requests import Request
from taskmill.contracts.tasks import Kind, Queue, TaskSummary
from taskmill.contracts.webhooks import (
    DELIVERY_KIND,
    EVENT_LABEL,
    REPLAY_LABEL,
    WEBHOOK_LABEL,
    Delivery,
    NewReplay,
    ReplayName,
    Secret,
    WebhookDescription,
    WebhookFields,
    WebhookUrl,
)
from taskmill.gateway.api.left_out import left_out, without_defaults


class NewWebhook(WebhookFields):
    """A webhook that a client wants to exist. It is told what happens from then on."""

    secret: Annotated[
        Secret | None, Field(description="What deliveries are signed with; null: one is made, of 32 random bytes.")
    ] = None


class WebhookPatch(Request):
    """Changes of a webhook (RFC 7396): null clears, fields that are left out keep their value."""

    model_config = ConfigDict(json_schema_extra=without_defaults)

    url: WebhookUrl = Field(default_factory=left_out)
    description: WebhookDescription = Field(default_factory=left_out)
    types: Annotated[EventTypes | None, Field(description="Events of these types. Empty, or cleared: of all.")] = Field(
        default_factory=left_out
    )
    kind: Annotated[Kind | None, Field(description="Only of tasks of this kind. Cleared: of any.")] = Field(
        default_factory=left_out
    )
    queue: Annotated[Queue | None, Field(description="Only of tasks of this queue. Cleared: of any.")] = Field(
        default_factory=left_out
    )
    labels: Annotated[
        LabelConditions | None,
        Field(description="Only of tasks that have all these labels, instead of those that were given before."),
    ] = Field(default_factory=left_out)
    is_enabled: Annotated[
        bool, Field(description="Whether events are delivered: those that happen from then on, when it is set.")
    ] = Field(default_factory=left_out)

    def changes(self) -> dict[str, JsonValue]:
        """The fields that the client gave, as JSON values."""
        return self.model_dump(mode="json", exclude_unset=True)


class Rotation(Request):
    """A new secret of a webhook."""

    secret: Annotated[Secret | None, Field(description="The new secret; null: one is made, of 32 random bytes.")] = None


ROTATION = Rotation()


class NewSubjectReplay(NewReplay):
    """A span of the log that is to be published again."""

    name: ReplayName


def delivery_of(task: TaskSummary) -> Delivery:
    """The delivery that a task is."""
    return Delivery(
        task_id=task.id,
        event_id=task.labels.get(EVENT_LABEL, ""),
        replay_id=_uuid(task.labels.get(REPLAY_LABEL)),
        status=task.status,
        attempt=task.attempt,
        attempt_limit=task.attempt_limit,
        next_attempt_at=task.run_at,
        last_error=task.error,
        created_at=task.created_at,
        updated_at=task.updated_at,
        finished_at=task.finished_at,
    )


def is_delivery_of(task: TaskSummary, webhook_id: UUID) -> bool:
    """Whether a task is a delivery of a webhook."""
    return task.kind == DELIVERY_KIND and task.labels.get(WEBHOOK_LABEL) == str(webhook_id)


def _uuid(text: str | None) -> UUID | None:
    # Clients may change labels.
    try:
        return None if text is None else UUID(text)
    except ValueError:
        return None
