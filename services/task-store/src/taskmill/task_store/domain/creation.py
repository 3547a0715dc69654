"""How a task comes to exist."""

from datetime import datetime

import orjson

from taskmill.contracts.events import EventType
from taskmill.contracts.requests import CreateTask
from taskmill.contracts.status import TaskStatus
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.events import compose_event
from taskmill.task_store.domain.runs import decide_process
from taskmill.task_store.domain.state import JSON_NULL, TaskState


def decide_create(request: CreateTask, now: datetime) -> Decision:
    """A new task, and, if it is to be processed at once, its first run.

    For clients the creation is one change: the task's revision is 1 either way.
    """
    payload = JSON_NULL if request.payload is None else orjson.dumps(request.payload).decode()
    state = _pending(request, payload, now)
    created = compose_event(
        EventType.CREATED,
        state,
        now,
        {
            "title": request.title,
            "description": request.description,
            "priority": request.priority,
            "labels": request.labels,
            "payload": orjson.Fragment(payload),
        },
    )
    if not request.process:
        return Decision(state, (created,))
    # The revision that being queued adds is the task's first.
    queued = decide_process(state._replace(revision=0), now)
    return Decision(queued.state, (created, *queued.events), queued.attempt)


def _pending(request: CreateTask, payload: str, now: datetime) -> TaskState:
    return TaskState(
        id=request.id,
        title=request.title,
        description=request.description,
        kind=request.kind,
        queue=request.queue,
        priority=request.priority,
        labels=orjson.dumps(request.labels).decode(),
        status=TaskStatus.PENDING,
        is_run_active=False,
        version=1,
        revision=1,
        run=0,
        attempt=0,
        dispatch=0,
        delivery=0,
        run_at=None,
        lease_until=None,
        processor_id=None,
        progress=None,
        error=None,
        created_at=now,
        updated_at=now,
        queued_at=None,
        started_at=None,
        finished_at=None,
        payload=payload,
        result=JSON_NULL,
    )
