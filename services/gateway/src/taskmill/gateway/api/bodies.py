"""The bodies that clients send, where they are not just what the task store takes; and what is made of them."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue

from taskmill.contracts.limits import MAX_BATCH_TASKS, MAX_LABELS
from taskmill.contracts.requests import ClientFields, EditableTask, IdempotencyKey, NewTask, Request, ServerFields
from taskmill.contracts.status import Priority, TaskStatus
from taskmill.contracts.tasks import (
    Kind,
    LabelKey,
    LabelValue,
    Queue,
    RetryBackoff,
    TaskFields,
    Title,
    WaitingFor,
)
from taskmill.gateway.adapters.store import request_json
from taskmill.gateway.api.left_out import left_out, without_defaults


class NewTasks(Request):
    """Tasks that a client wants to exist: all of them, or none."""

    tasks: Annotated[list[NewTask], Field(min_length=1, max_length=MAX_BATCH_TASKS, description="1 to 1,000 tasks.")]


Status = Annotated[
    TaskStatus,
    Field(description="Where the task stands. `pending`, `in_progress` and `completed` may be set by hand."),
]


def _as_document(schema: dict[str, Any]) -> None:
    for name in EditableTask.model_fields:
        schema["properties"][name].pop("default", None)


def _as_patch(schema: dict[str, Any]) -> None:
    without_defaults(schema)
    # The limits of a backoff hold when the patch is merged.
    fields = RetryBackoff.model_json_schema()["properties"]
    for field in fields.values():
        del field["default"]
    changes = {name: {"anyOf": [field, {"type": "null"}]} for name, field in fields.items()}
    schema["properties"]["backoff"]["anyOf"][0] = {
        "type": "object",
        "properties": changes,
        "additionalProperties": False,
    }


class TaskDocument(EditableTask, ServerFields):
    """A task as GET gave it, with changes. Fields that are left out keep their value."""

    model_config = ConfigDict(json_schema_extra=_as_document)

    title: Title = Field(default_factory=left_out)
    status: Status = Field(default_factory=left_out)
    waiting_for: Annotated[
        WaitingFor | None,
        Field(description="What the task waited for when it was read. Not compared: it changes without the task."),
    ] = None

    def changes(self) -> dict[str, JsonValue]:
        """The editable fields that the client gave, as JSON values."""
        return self.model_dump(mode="json", include=set(EditableTask.model_fields), exclude_unset=True)

    def unchanged(self) -> ServerFields:
        """The fields that only Taskmill sets, as far as the client gave them."""
        given = self.model_fields_set & ServerFields.model_fields.keys()
        return ServerFields.model_construct(given, **{name: getattr(self, name) for name in given})


class TaskPatch(Request, TaskFields):
    """Changes of a task (RFC 7396): objects merge, null clears, fields that are left out keep their value.

    A cleared field has the value that it has when a task is created without it.
    """

    model_config = ConfigDict(json_schema_extra=_as_patch)

    title: Title = Field(default_factory=left_out)
    priority: Annotated[
        Priority | None, Field(description="Served first to last: critical, high, medium, low. Cleared: medium.")
    ] = Field(default_factory=left_out)
    kind: Annotated[Kind | None, Field(description="Names the handler that does the work. Cleared: echo.")] = Field(
        default_factory=left_out
    )
    payload: Annotated[
        JsonValue,
        Field(
            description="The input of the handler. An object is merged into the one that is there. The outcome: any "
            "JSON value of up to 256 KiB (262,144 bytes as compact JSON)."
        ),
    ] = Field(default_factory=left_out)
    queue: Annotated[
        Queue | None, Field(description="The pool that the task waits in and processors serve. Cleared: default.")
    ] = Field(default_factory=left_out)
    labels: Annotated[
        Annotated[
            dict[LabelKey, LabelValue | None],
            Field(max_length=MAX_LABELS, json_schema_extra={"additionalProperties": False}),
        ]
        | None,
        Field(
            description="Labels to add or change; null removes one. Up to 32; a value has up to 200 characters.",
        ),
    ] = Field(default_factory=left_out)
    backoff: Annotated[
        dict[Literal["base_seconds", "factor", "cap_seconds", "jitter"], float | None] | None,
        Field(
            description="The wait between attempts. An object is merged into the one that is there. Cleared: what the "
            "kind says, or else 2 s, doubled."
        ),
    ] = Field(default_factory=left_out)
    status: Status = Field(default_factory=left_out)

    def changes(self) -> dict[str, JsonValue]:
        """The fields that the client gave, as JSON values."""
        return self.model_dump(mode="json", exclude_unset=True)


class NoOptions(Request):
    """Nothing can be chosen: an empty object, or no body at all."""


NO_OPTIONS = NoOptions()


def creation(task_id: str, task: ClientFields) -> bytes:
    """The JSON of an `IdentifiedTask`: the task's own, which has a title at least, with the id before it.

    To make the model first would take longer than all the rest of an endpoint.
    """
    return b'{"id":"%b",%b' % (task_id.encode(), request_json(task)[1:])


def with_key(request: bytes, key: IdempotencyKey | None) -> bytes:
    """A request's JSON, with its key, if it has one."""
    return request if key is None else b'{"idempotency":%b,%b' % (request_json(key), request[1:])
