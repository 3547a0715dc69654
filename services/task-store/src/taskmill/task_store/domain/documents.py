"""Composes what requests are answered with: tasks as clients see them.

Made from plain values with orjson, for this is the hot path; the models in `taskmill.contracts.tasks` are the truth,
and a test reads every document with them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Any, TypeVar
from uuid import UUID

import orjson

from taskmill.contracts.bulk_operations import BulkOperation
from taskmill.contracts.groups import CreateGroup
from taskmill.contracts.limits import MAX_BODY_BYTES
from taskmill.contracts.requests import CreateTask, CreateTasks, DeleteTask
from taskmill.contracts.schedules import DeleteSchedule, RunSchedule
from taskmill.contracts.tasks import Attempt, Task, TaskLine, TaskReceipt, TaskSummary, WaitingFor
from taskmill.task_store.domain.bulk_operations import BulkOperationState
from taskmill.task_store.domain.groups import group_document
from taskmill.task_store.domain.operations import Answer, ClientRequest
from taskmill.task_store.domain.schedule_documents import deleted_schedule_document, schedule_document
from taskmill.task_store.domain.state import AttemptState, LineState, TaskState, composer

_Item = TypeVar("_Item")

_task = composer(TaskState, Task.model_fields)
_summary = composer(TaskState, TaskSummary.model_fields)
_receipt = composer(TaskState, TaskReceipt.model_fields)
_attempt = composer(AttemptState, Attempt.model_fields)
line_fields = composer(LineState, TaskLine.model_fields)
"""A `TaskLine`, as orjson takes it."""

_bulk_operation = composer(BulkOperationState, BulkOperation.model_fields)

_LOGGED = ("position", "type", "kind", "task_id", "document")


def reply_document(request: ClientRequest, answer: Answer) -> bytes:
    """What a request is replied to with that was served now."""
    if answer.bulk_operation is not None:
        return bulk_operation_document(answer.bulk_operation)
    if answer.schedule is not None and not isinstance(request, RunSchedule):
        is_deleted = isinstance(request, DeleteSchedule)
        return (deleted_schedule_document if is_deleted else schedule_document)(answer.schedule)
    match request:
        # The first, for it is what is asked for most, and to tell what a model is takes long, but of its own class.
        case CreateTask():
            document = task_document(answer.states[0], answer.waiting)
        case CreateGroup() if answer.group is not None:
            members = answer.states[: answer.group.total]
            document = group_document(answer.group, Counter(state.status for state in members))
        case CreateTasks():
            document = receipts_document(answer.states, answer.existing)
        case DeleteTask():
            (deleted,) = answer.states
            document = _dump({"id": str(deleted.id), "version": deleted.version})
        case _:
            document = task_document(answer.states[0], answer.waiting)
    return document


def is_of_existing(request: ClientRequest, answer: Answer) -> bool:
    """Whether a request for one task is answered with one that was there before."""
    return isinstance(request, CreateTask) and bool(answer.existing)


def task_document(state: TaskState, waiting: WaitingFor | None = None) -> bytes:
    """A `Task`, whole. Payload and result must have been read."""
    return _task_document(_task(state), waiting)


def summary_document(state: TaskState, waiting: WaitingFor | None = None) -> bytes:
    """A `TaskSummary`."""
    return _task_document(_summary(state), waiting)


def receipts_document(states: Iterable[TaskState], existing: Set[UUID] = frozenset()) -> bytes:
    """A `CreateTasksReply`. `existing` are the ids of those that were there before."""
    receipts = [{**_receipt(state), "id": str(state.id)} for state in states]
    if existing:
        receipts = [{**receipt, "is_existing": UUID(receipt["id"]) in existing} for receipt in receipts]
    return _dump({"items": receipts})


def attempt_document(attempt: AttemptState) -> bytes:
    """An `Attempt`."""
    return _dump(_attempt(attempt))


def line_document(line: LineState) -> bytes:
    """A `TaskLine`."""
    return _dump(line_fields(line))


def log_document(
    events: Iterable[tuple[int, str, str, str, str]],
    next_after: int,
    oldest: int,
    newest: int,
    removed: int,
    epoch: int,
) -> bytes:
    """A `LogPage`."""
    items = [dict(zip(_LOGGED, event, strict=True)) for event in events]
    ends = {"oldest": oldest, "newest": newest, "removed": removed, "epoch": epoch}
    return _dump({"items": items, "next_after": next_after, **ends})


def events_document(documents: Iterable[bytes], next_cursor: str | None, removed: int) -> bytes:
    """An `EventPage`, its events as they were published."""
    return page_document(documents, next_cursor)[:-1] + b',"removed":%d}' % removed


def bulk_operation_document(operation: BulkOperationState) -> bytes:
    """A `BulkOperation`."""
    told = _bulk_operation(operation)
    told["id"] = str(operation.id)
    told["id_count"] = None if operation.ids is None else len(operation.ids)
    refused = sum(orjson.loads(operation.refusals).values())
    told["counts"] = {"matched": operation.matched, "done": operation.done, "refused": refused}
    return _dump(told)


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


def page_of(
    found: Sequence[_Item],
    limit: int,
    document: Callable[[_Item], bytes],
    cursor: Callable[[_Item], str],
    **others: int,
) -> bytes:
    """A page with the first of what was found, and where to go on if that is not all.

    Args:
        found: What is next, in order, and one more than the page may have if there are more.
        limit: How many the page may have. It has fewer when more would not fit a message.
        document: Makes the document of one.
        cursor: Makes the cursor behind one.
        others: What else the page tells.
    """
    items = fitting(map(document, found[:limit]))
    is_last = len(items) == len(found)
    return page_document(items, None if is_last else cursor(found[len(items) - 1]), **others)


def page_document(items: Iterable[bytes], next_cursor: str | None, **others: int) -> bytes:
    """A page of anything, its items as they are, and what else it tells."""
    told = orjson.dumps({**others, "next_cursor": next_cursor})
    return b'{"items":[' + b",".join(items) + b"]," + told[1:]


def _task_document(fields: dict[str, Any], waiting: WaitingFor | None) -> bytes:
    fields["waiting_for"] = None if waiting is None else _waiting_for(waiting)
    return _dump(fields)


def _waiting_for(waiting: WaitingFor) -> dict[str, Any]:
    told: dict[str, Any] = {"reason": waiting.reason, "until": waiting.until}
    if waiting.limit is not None:
        told["limit"] = waiting.limit
    if waiting.after is not None:
        told["after"] = [str(task_id) for task_id in waiting.after]
    return told


def _dump(value: Any) -> bytes:
    # The driver's own UUIDs are unknown to orjson.
    return orjson.dumps(value, default=str, option=orjson.OPT_UTC_Z)
