"""What takes several calls, as generators: see `Flow`."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from uuid import uuid4

from pydantic_core import to_json

from taskmill.contracts.limits import MAX_BATCH_TASKS, MAX_BODY_BYTES, MAX_PAGE_ITEMS
from taskmill.contracts.status import ENDED, TaskStatus
from taskmill.contracts.tasks import Task
from taskmill.sdk.client import operations
from taskmill.sdk.client.calls import Call, Flow, Page
from taskmill.sdk.client.errors import ClientError, RunCancelledError, RunFailedError, WaitTimeoutError
from taskmill.sdk.client.fields import EventConditions, Receipts, TaskId, TaskOptions, TaskToSubmit
from taskmill.sdk.event import Event

_FIRST_SPAN = MAX_PAGE_ITEMS
"""Positions of the log that are looked through first for its newest events: as many as a page has."""

_ENVELOPE_BYTES = len('{"tasks":[]}')


class LastEvents(NamedTuple):
    """The end of the log, or of what is wanted of it."""

    events: list[Event]
    """Oldest first."""
    position: int
    """Up to where was looked: `watch(after=position)` goes on there."""


def last_events(count: int, task_id: TaskId | None, conditions: EventConditions) -> Flow[LastEvents]:
    """Read the newest events: from the end of the log backwards, in spans, each twice as long as the one before.

    Args:
        count: How many at most.
        task_id: Only of this task; None: of all.
        conditions: Which events.
    """
    ends: operations.LogEnds = yield operations.log_ends()
    # Nothing before is kept. A single task's events are found without looking through others.
    begin = max(ends.removed, ends.oldest - 1, 0)
    searched, span = ends.newest, max(count, _FIRST_SPAN)
    found: deque[Event] = deque()
    while searched > begin and len(found) < count:
        after = begin if task_id is not None else max(begin, searched - span)
        newer = yield from _events_between(after, searched, count - len(found), task_id, conditions)
        found.extendleft(reversed(newer))
        searched, span = after, span * 2
    return LastEvents(list(found), ends.newest)


def _events_between(
    after: int, until: int, count: int, task_id: TaskId | None, conditions: EventConditions
) -> Flow[deque[Event]]:
    """The newest events behind a position up to another one, which is taken in."""
    newest: deque[Event] = deque(maxlen=count)
    call: Call[Page[Event]] | None = operations.events(task_id, after, conditions, until)
    while call is not None:
        page: Page[Event] = yield call
        newest.extend(page.items)
        call = page.next_call
    return newest


def new_key() -> str:
    """An idempotency key that nobody else has."""
    return str(uuid4())


def new_task(kind: str, payload: Any, options: TaskOptions, *, process: bool) -> bytes:
    """The JSON of a new task."""
    return to_json({"title": kind, "kind": kind, "payload": payload, "process": process, **options})


def trace_headers(traceparent: str | None) -> dict[str, str]:
    """By which a request belongs to a trace (W3C Trace Context).

    Args:
        traceparent: The header; None: of the span that OpenTelemetry has now, if that is installed.
    """
    if traceparent is not None:
        return {"traceparent": traceparent}
    try:
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 -- only if it is there
            TraceContextTextMapPropagator,
        )
    except ImportError:
        return {}
    headers: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(headers)
    return headers


def submit_many(
    tasks: Iterable[TaskToSubmit], key: str, *, process: bool, headers: Mapping[str, str]
) -> Flow[Receipts]:
    """Create tasks, in as many requests as the limits want; each has a key of its own."""
    receipts: Receipts = []
    for number, body in enumerate(_batches(tasks, process=process)):
        try:
            reply = yield operations.create_many(body, f"{key}-{number}", headers=headers)
        except ClientError as error:
            error.add_note(
                f"The first {len(receipts)} tasks are stored. The same tasks under the same key go on there."
            )
            raise
        receipts += reply.items
    return receipts


def _batches(tasks: Iterable[TaskToSubmit], *, process: bool) -> Iterator[bytes]:
    """The bodies: the same tasks are always parted in the same way."""
    batch: list[bytes] = []
    size = _ENVELOPE_BYTES
    for task in tasks:
        document = to_json({"title": task["kind"], "process": process, **task})
        if batch and (len(batch) == MAX_BATCH_TASKS or size + len(document) + 1 > MAX_BODY_BYTES):
            yield b'{"tasks":[%b]}' % b",".join(batch)
            batch, size = [], _ENVELOPE_BYTES
        batch.append(document)
        size += len(document) + 1
    if batch:
        yield b'{"tasks":[%b]}' % b",".join(batch)


def run(
    body: bytes,
    key: str,
    *,
    headers: Mapping[str, str],
    within_seconds: float,
    create_within_seconds: float,
    now: Callable[[], float] = time.monotonic,
) -> Flow[Task]:
    """Create a task, and wait for its end.

    One after the other: where nobody is there at all, that is told soon; once the task exists, an outage is waited out.

    Args:
        body: The task.
        key: Its idempotency key.
        headers: Of the trace.
        within_seconds: How long to wait.
        create_within_seconds: How long nobody may answer to the creation.
        now: A clock in seconds.
    """
    ends_at = now() + within_seconds
    creation_within = min(within_seconds, create_within_seconds)
    task: Task = yield operations.create(body, key, wait=0, headers=headers, within=creation_within)
    while task.status not in ENDED:
        remaining = ends_at - now()
        if remaining <= 0:
            raise WaitTimeoutError(within_seconds, task)
        wait = min(math.ceil(remaining), operations.MAX_WAIT_SECONDS)
        try:
            task = yield operations.get(task.id, wait=wait, within=remaining)
        except ClientError as error:
            error.add_note(f"Task {task.id} is stored; it was {task.status} when it was read last.")
            raise
    if task.status is TaskStatus.FAILED:
        raise RunFailedError(task)
    if task.status is TaskStatus.CANCELLED:
        raise RunCancelledError(task)
    return task
