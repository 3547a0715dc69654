"""How a task comes to exist."""

from datetime import datetime

import orjson

from taskmill.contracts.events import EventType
from taskmill.contracts.requests import IdentifiedTask
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import KindDefaults
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.events import compose_event
from taskmill.task_store.domain.runs import decide_process
from taskmill.task_store.domain.state import JSON_NULL, TaskState


def decide_create(request: IdentifiedTask, defaults: KindDefaults, now: datetime) -> Decision:
    """A new task, and, if it is to be processed at once or at some time, its first run.

    For clients the creation is one change: the task's revision is 1 either way.

    Args:
        request: What the client wants.
        defaults: What the task's kind declares.
        now: When it is decided.
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
            "max_attempts": state.max_attempts,
            "backoff": None if state.backoff is None else orjson.Fragment(state.backoff),
            "timeout_seconds": state.timeout_seconds,
            "payload": orjson.Fragment(payload),
        },
    )
    if not (request.process or request.run_at):
        return Decision(state, (created,))
    # The revision that the run adds is the task's first.
    run = decide_process(state._replace(revision=0), defaults, now, run_at=request.run_at)
    return Decision(run.state, (created, *run.events), run.attempt)


def _pending(request: IdentifiedTask, payload: str, now: datetime) -> TaskState:
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
        attempt_limit=0,
        dispatch=0,
        delivery=0,
        crashes=0,
        max_attempts=request.max_attempts,
        backoff=None if request.backoff is None else request.backoff.model_dump_json(),
        timeout_seconds=request.timeout_seconds,
        run_at=None,
        lease_until=None,
        processor_id=None,
        cancel_requested_at=None,
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
