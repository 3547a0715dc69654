"""What clients may ask of a task, what they may change of it, and when."""

from datetime import datetime
from typing import Any

import orjson
from pydantic import BaseModel, JsonValue, TypeAdapter

from taskmill.contracts.errors import (
    FieldNotEditableError,
    FieldProblem,
    IllegalTransitionError,
    RevisionMismatchError,
    RunActiveError,
)
from taskmill.contracts.events import DeletionReason, EventType
from taskmill.contracts.json_text import read_json
from taskmill.contracts.requests import CancelTask, EditableTask, ServerFields, TaskRequest, UpdateTask
from taskmill.contracts.status import Priority, TaskStatus
from taskmill.contracts.tasks import ALWAYS_EDITABLE
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.endings import decide_cancel
from taskmill.task_store.domain.events import compose_event
from taskmill.task_store.domain.lifecycle import Cause, transition
from taskmill.task_store.domain.state import JSON_NULL, TaskState, json_fields

_EDITABLE = TypeAdapter(EditableTask)

_ALWAYS_EDITABLE = {name for name, field in EditableTask.model_fields.items() if ALWAYS_EDITABLE in field.metadata}
_EDITABLE_WHILE_SCHEDULED = _ALWAYS_EDITABLE | {"priority", "payload"}

_JSON_FIELDS = json_fields(TaskState)


def check_revision(state: TaskState, expected_revision: int | None) -> None:
    """Refuse a request that was made in view of an older state.

    Raises:
        RevisionMismatchError: The task's revision is another than the caller saw.
    """
    if expected_revision is not None and expected_revision != state.revision:
        raise RevisionMismatchError


def decide_change(state: TaskState, request: TaskRequest, now: datetime) -> Decision:
    """What becomes of a task when a client asks for something that the task alone decides. Raises what the rules do."""
    match request:
        case UpdateTask():
            return decide_update(state, request, now)
        case CancelTask():
            return decide_cancel(state, now)
    raise TypeError(f"no rule for {type(request).__name__}")


def decide_delete(state: TaskState, now: datetime, *, reason: DeletionReason | None = None) -> Decision:
    """The task's last event; the task itself is the caller's to remove.

    Args:
        state: The task.
        now: When it is decided.
        reason: Why, unless a client asked for it.

    Raises:
        RunActiveError: The task is in a run.
    """
    if state.is_run_active:
        raise RunActiveError
    deleted = state._replace(version=state.version + 1, updated_at=now)
    return Decision(deleted, (compose_event(EventType.DELETED, deleted, now, {"reason": reason} if reason else {}),))


def decide_update(state: TaskState, request: UpdateTask, now: datetime) -> Decision:
    """The task with a client's changes. A request that changes nothing makes no event.

    Args:
        state: The task, with its payload and result.
        request: The changes; see `UpdateTask`.
        now: When it is decided.

    Raises:
        FieldNotEditableError: A field that only Taskmill sets differs from the task's.
        InvalidRequestError: The outcome is no `EditableTask`.
        RunActiveError: The run that the task is in forbids one of the changes.
        IllegalTransitionError: The lifecycle does not let a client set this status.
    """
    _check_unchanged(state, request.unchanged)
    current = {name: _plain_value(name, getattr(state, name)) for name in EditableTask.model_fields}
    wanted = _wanted_values(current, request)
    changes = {name: value for name, value in wanted.items() if _canonical(value) != _canonical(current[name])}
    if not changes:
        return Decision(state)
    _check_allowed(state, changes)
    columns: dict[str, Any] = {name: _column_value(name, value) for name, value in changes.items()}
    edited = state._replace(**columns, version=state.version + 1, revision=state.revision + 1, updated_at=now)
    return Decision(edited, (compose_event(EventType.UPDATED, edited, now, {"changes": changes}),))


def merge_patch(target: JsonValue, patch: JsonValue) -> JsonValue:
    """Apply a merge patch as RFC 7396 §2 has it: objects merge, null removes, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def _check_unchanged(state: TaskState, given: ServerFields) -> None:
    changed = [
        name
        for name in sorted(given.model_fields_set)
        if not _is_same(name, getattr(given, name), getattr(state, name))
    ]
    if changed:
        detail, code = "Only Taskmill sets this field.", FieldNotEditableError.code
        raise FieldNotEditableError(
            errors=[FieldProblem(pointer=f"/{name}", detail=detail, code=code) for name in changed]
        )


def _is_same(name: str, given: Any, column: Any) -> bool:
    if name not in _JSON_FIELDS:
        return bool(given == column)
    value = given.model_dump(mode="json") if isinstance(given, BaseModel) else given
    return _canonical(value) == _canonical(_plain_value(name, column))


def _wanted_values(current: dict[str, JsonValue], request: UpdateTask) -> dict[str, JsonValue]:
    """What the editable part is to become, checked, and with defaults for what was cleared."""
    outcome = merge_patch(current, request.changes) if request.is_merge_patch else {**current, **request.changes}
    checked = read_json(_EDITABLE, orjson.dumps(outcome))
    values: dict[str, JsonValue] = checked.model_dump(mode="json")
    return values


def _check_allowed(state: TaskState, changes: dict[str, JsonValue]) -> None:
    if state.is_run_active:
        is_scheduled = state.status is TaskStatus.SCHEDULED
        if not changes.keys() <= (_EDITABLE_WHILE_SCHEDULED if is_scheduled else _ALWAYS_EDITABLE):
            raise RunActiveError
    elif "status" in changes:
        wanted = TaskStatus(str(changes["status"]))
        way = transition(state.status, is_run_active=False, by=Cause.UPDATE)
        if way is None or wanted not in way.targets:
            raise IllegalTransitionError(state.status, wanted)


def _plain_value(name: str, column: Any) -> JsonValue:
    """A column as JSON has it."""
    value: JsonValue = orjson.loads(column or JSON_NULL) if name in _JSON_FIELDS else column
    return value


def _column_value(name: str, value: JsonValue) -> Any:
    """A checked JSON value as its column has it."""
    if value is None and name != "payload":
        return None
    if name in _JSON_FIELDS:
        return orjson.dumps(value).decode()
    if name == "priority":
        return Priority(str(value))
    return TaskStatus(str(value)) if name == "status" else value


def _canonical(value: JsonValue) -> bytes:
    """Equal for equal JSON values, and only for them: to Python, `True` equals `1`."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
