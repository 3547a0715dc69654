"""Composes events: the one place where a CloudEvents document is made.

The text is kept as it is made here, in the log and on NATS. What a task says of itself goes through orjson, and what is
the same in all events, or a number, stands around it as text: this is the hot path. The models in
`taskmill.contracts.events` are the truth, and a test reads every kind of document with them.
"""

from datetime import datetime
from functools import lru_cache
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


# Each is asked for again by the next event, and when events and work are published.
@lru_cache(maxsize=1024)
def id_text(task_id: UUID) -> str:
    """An id as `str` writes it, in less time."""
    # The driver's own UUIDs are unknown to orjson.
    return orjson.dumps(task_id, default=str)[1:-1].decode()


_FIRST_SOURCE = f'"source":"{EVENT_SOURCE}"'
_SOURCES_AND_TYPES = {event_type: f'{_FIRST_SOURCE},"type":"{event_type.cloud_event_type}"' for event_type in EventType}


@lru_cache(maxsize=1)
def _time_json(now: datetime) -> str:
    # That of a whole batch.
    return _json(now)


def _json(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()


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
    # CloudEvents' extension for distributed tracing.
    traced = "" if state.traceparent is None else f'"traceparent":{_json(state.traceparent)},'
    document = (
        f'{{"specversion":"1.0","id":"{task_id}.{state.version}",{_SOURCES_AND_TYPES[event_type]},'
        f'"subject":"{task_id}","time":{_time_json(now)},"datacontenttype":"application/json",'
        f'{traced}"sequence":{state.version},"data":{_json(data)}}}'
    )
    dispatch = state.dispatch if event_type is EventType.QUEUED else None
    return LoggedEvent(state.id, state.version, event_type, state.kind, dispatch, document)


def of_source(event: LoggedEvent, source: str) -> LoggedEvent:
    """The same event, told by another source: of a later epoch of the log."""
    # What stands before it is made of the task's id and numbers alone.
    return event._replace(document=event.document.replace(_FIRST_SOURCE, f'"source":"{source}"', 1))
