"""Composes events: the one place where a CloudEvents document is made.

The text is kept as it is made here, in the log and on NATS. Made from plain values with orjson, for this is the hot
path; the models in `taskmill.contracts.events` are the truth, and a test reads every kind of document with them.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from taskmill.contracts.events import EVENT_SOURCE, EventType
from taskmill.task_store.domain.state import NO_LABELS, TaskState


class LoggedEvent(NamedTuple):
    """An event's row: these fields, in this order, are the columns of `task_events` that the store gives."""

    task_id: UUID
    version: int
    type: EventType
    kind: str
    dispatch: int | None
    """On `queued` events: the work item that the event asks for."""
    document: str


def id_text(task_id: UUID) -> str:
    """An id as `str` writes it, in a quarter of the time."""
    # The driver's own UUIDs are unknown to orjson.
    return orjson.dumps(task_id, default=str)[1:-1].decode()


_CLOUD_EVENT_TYPES = {event_type: event_type.cloud_event_type for event_type in EventType}


def compose_event(event_type: EventType, state: TaskState, now: datetime, details: dict[str, Any]) -> LoggedEvent:
    """Make the event that tells of a change.

    Args:
        event_type: What happened.
        state: The task after the change; its `version` is the event's sequence.
        now: When the store decided it.
        details: What `data` holds beside the part that all events share. JSON text goes in as `orjson.Fragment`.
    """
    task_id = id_text(state.id)
    data: dict[str, Any] = {
        "kind": state.kind,
        "queue": state.queue,
        "status": state.status,
        "revision": state.revision,
        "run": state.run,
        "attempt": state.attempt,
    }
    if state.labels != NO_LABELS:
        data["labels"] = orjson.Fragment(state.labels)
    data.update(details)
    document: dict[str, Any] = {
        "specversion": "1.0",
        "id": f"{task_id}.{state.version}",
        "source": EVENT_SOURCE,
        "type": _CLOUD_EVENT_TYPES[event_type],
        "subject": task_id,
        "time": now,
        "datacontenttype": "application/json",
    }
    if state.traceparent is not None:
        # CloudEvents' extension for distributed tracing.
        document["traceparent"] = state.traceparent
    document["sequence"] = state.version
    document["data"] = data
    dispatch = state.dispatch if event_type is EventType.QUEUED else None
    text = orjson.dumps(document, option=orjson.OPT_UTC_Z).decode()
    return LoggedEvent(state.id, state.version, event_type, state.kind, dispatch, text)


_FIRST_SOURCE = f'"source":"{EVENT_SOURCE}"'


def of_source(event: LoggedEvent, source: str) -> LoggedEvent:
    """The same event, told by another source: of a later epoch of the log."""
    # What stands before it is made of the task's id and numbers alone.
    return event._replace(document=event.document.replace(_FIRST_SOURCE, f'"source":"{source}"', 1))
