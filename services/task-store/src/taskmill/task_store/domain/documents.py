"""Composes what requests are answered with: tasks as clients see them.

Made from plain values with orjson, for this is the hot path; the models in `taskmill.contracts.tasks` are the truth,
and a test reads every document with them.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from taskmill.contracts.limits import MAX_BODY_BYTES
from taskmill.contracts.requests import CreateTasks, DeleteTask
from taskmill.contracts.tasks import WaitingFor
from taskmill.task_store.domain.bulk_operations import BulkOperationState
from taskmill.task_store.domain.operations import Answer, ClientRequest
from taskmill.task_store.domain.state import AttemptState, TaskState


def reply_document(request: ClientRequest, answer: Answer) -> bytes:
    """What a request is replied to with that was served now."""
    if answer.bulk_operation is not None:
        return bulk_operation_document(answer.bulk_operation)
    match request:
        case CreateTasks():
            return receipts_document(answer.states)
        case DeleteTask():
            (deleted,) = answer.states
            return _dump({"id": str(deleted.id), "version": deleted.version})
        case _:
            return task_document(answer.states[0], answer.waiting)


def task_document(state: TaskState, waiting: WaitingFor | None = None) -> bytes:
    """A `Task`, whole. Payload and result must have been read."""
    return _dump({**_summary(state, waiting), "payload": _fragment(state.payload), "result": _fragment(state.result)})


def summary_document(state: TaskState, waiting: WaitingFor | None = None) -> bytes:
    """A `TaskSummary`."""
    return _dump(_summary(state, waiting))


def receipts_document(states: Iterable[TaskState]) -> bytes:
    """A `CreateTasksReply`."""
    return _dump({"items": [_receipt(state) for state in states]})


def attempt_document(attempt: AttemptState) -> bytes:
    """An `Attempt`."""
    return _dump(
        {
            "attempt": attempt.attempt,
            "run": attempt.run,
            "processor_id": attempt.processor_id,
            "delivery": attempt.delivery,
            "queued_at": attempt.queued_at,
            "started_at": attempt.started_at,
            "finished_at": attempt.finished_at,
            "outcome": attempt.outcome,
            "error": _fragment(attempt.error),
            "traceback": attempt.traceback,
        }
    )


def bulk_operation_document(operation: BulkOperationState) -> bytes:
    """A `BulkOperation`."""
    refusals: dict[str, int] = orjson.loads(operation.refusals)
    return _dump(
        {
            "id": str(operation.id),
            "action": operation.action,
            "filter": _fragment(operation.filter),
            "id_count": None if operation.ids is None else len(operation.ids),
            "dry_run": operation.dry_run,
            "force": operation.force,
            "status": operation.status,
            "waiting_for": operation.waiting_for,
            "counts": {"matched": operation.matched, "done": operation.done, "refused": sum(refusals.values())},
            "refusals": refusals,
            "created_at": operation.created_at,
            "finished_at": operation.finished_at,
        }
    )


def fitting(documents: Iterable[bytes]) -> list[bytes]:
    """The first of these documents, as many as a page may hold: `MAX_BODY_BYTES` in all, but at least one."""
    fit: list[bytes] = []
    page_bytes = 0
    for document in documents:
        page_bytes += len(document) + 1
        if fit and page_bytes > MAX_BODY_BYTES:
            break
        fit.append(document)
    return fit


def page_document(items: Iterable[bytes], next_cursor: str | None) -> bytes:
    """A page of anything, its items as they are."""
    return b'{"items":[' + b",".join(items) + b'],"next_cursor":' + orjson.dumps(next_cursor) + b"}"


def _summary(state: TaskState, waiting: WaitingFor | None) -> dict[str, Any]:
    return {
        "id": str(state.id),
        "title": state.title,
        "description": state.description,
        "kind": state.kind,
        "queue": state.queue,
        "priority": state.priority,
        "labels": orjson.Fragment(state.labels),
        "status": state.status,
        "is_run_active": state.is_run_active,
        "version": state.version,
        "revision": state.revision,
        "run": state.run,
        "attempt": state.attempt,
        "attempt_limit": state.attempt_limit,
        "max_attempts": state.max_attempts,
        "backoff": _fragment(state.backoff),
        "timeout_seconds": state.timeout_seconds,
        "run_at": state.run_at,
        "cancel_requested_at": state.cancel_requested_at,
        "waiting_for": None if waiting is None else {"reason": waiting.reason, "until": waiting.until},
        "processor_id": state.processor_id,
        "progress": _fragment(state.progress),
        "error": _fragment(state.error),
        "created_at": state.created_at,
        "updated_at": state.updated_at,
        "queued_at": state.queued_at,
        "started_at": state.started_at,
        "finished_at": state.finished_at,
    }


def _receipt(state: TaskState) -> dict[str, Any]:
    return {
        "id": str(state.id),
        "title": state.title,
        "kind": state.kind,
        "queue": state.queue,
        "priority": state.priority,
        "status": state.status,
        "version": state.version,
        "revision": state.revision,
        "created_at": state.created_at,
    }


def _fragment(json_text: str | None) -> orjson.Fragment | None:
    return None if json_text is None else orjson.Fragment(json_text)


def _dump(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)
