"""How a task comes to exist."""

from datetime import datetime
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from taskmill.contracts.events import EventData, EventType, TaskCreatedData
from taskmill.contracts.requests import ClientFields, IdentifiedTask
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import DEFAULT_QUEUE, Cancellation, KindDefaults
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.dependencies import READY, Precedence, Standing
from taskmill.task_store.domain.endings import cancelled
from taskmill.task_store.domain.events import compose_event
from taskmill.task_store.domain.runs import decide_process
from taskmill.task_store.domain.state import JSON_NULL, NO_LABELS, Hold, TaskState, composer, json_fields
from taskmill.task_store.domain.turns import NO_LIMITS, LimitRules

# The queue is left to the kind, if the client does not say.
_PLAIN = [name for name in ClientFields.model_fields if name not in json_fields(TaskState)]
_plain_values = attrgetter(*_PLAIN)
_details = composer(TaskState, [name for name in TaskCreatedData.model_fields if name not in EventData.model_fields])

_NUMBERS = (
    *("first_attempt", "run", "attempt", "attempt_limit", "dispatch", "delivery", "crashes", "refusals"),
    *("line_count", "line_number", "checkpoint_number", "submission_number"),
)

_BLANK: dict[str, Any] = {
    **dict.fromkeys(TaskState._fields),
    "status": TaskStatus.PENDING,
    "is_run_active": False,
    "version": 1,
    "revision": 1,
    **dict.fromkeys(_NUMBERS, 0),
    "result": JSON_NULL,
    "checkpoint": JSON_NULL,
}
_BLANK_VALUES = tuple(_BLANK.values())

_WORKED_OUT = (
    *("id", "queue", "traceparent", "concurrency_key", "unique_key", "group_id", "schedule_id"),
    *("labels", "backoff", "payload", "created_at", "updated_at"),
)
"""What `_pending` says last, in this order."""

# Of a value that is said twice, the later one counts. To pick all by their places costs half of what a dictionary does.
_PLACES = {name: place for place, name in enumerate((*_BLANK, *_PLAIN, *_WORKED_OUT))}
_as_columns = itemgetter(*(_PLACES[name] for name in TaskState._fields))


class Owners(NamedTuple):
    """What a task belongs to."""

    group_id: UUID | None = None
    schedule_id: UUID | None = None


NOBODY = Owners()


def decide_create(
    request: IdentifiedTask,
    defaults: KindDefaults,
    now: datetime,
    *,
    limits: LimitRules = NO_LIMITS,
    precedence: Precedence = READY,
    belongs_to: Owners = NOBODY,
    dispatch_floor: int = 0,
) -> Decision:
    """A new task, and, if it is to be processed at once or at some time, its first run.

    For clients the creation is one change: the task's revision is 1 either way.

    Args:
        request: What the client wants.
        defaults: What the task's kind declares.
        now: When it is decided.
        limits: They say, as its key does, whether it must wait for its turn.
        precedence: How it stands to the tasks that it comes after.
        belongs_to: The group and the schedule that it belongs to.
        dispatch_floor: Its dispatches have numbers above this; see `LogEpoch`.
    """
    state = _pending(request, request.queue or defaults.queue or DEFAULT_QUEUE, now, belongs_to)
    if dispatch_floor:
        state = state._replace(dispatch=dispatch_floor)
    created = compose_event(EventType.CREATED, state, now, _details(state))
    if not (request.process or request.run_at or request.after or precedence.standing is not Standing.READY):
        return Decision(state, (created,))
    if precedence.standing is Standing.FORBIDDEN:
        # The revision that comes next is the task's first.
        end = cancelled(state._replace(revision=0), Cancellation.DEPENDENCY, now, now)
        return Decision(end.state, (created, *end.events))
    if precedence.standing is Standing.WAITING:
        held = decide_process(state, defaults, now, hold=Hold.DEPENDENCIES, is_new=True)
        return Decision(held.state, (created, *held.events), dependencies=precedence.dependencies)
    run = decide_process(state, defaults, now, run_at=request.run_at, limits=limits, is_new=True)
    return Decision(run.state, (created, *run.events))


def _pending(request: IdentifiedTask, queue: str, now: datetime, belongs_to: Owners) -> TaskState:
    values = (
        *_BLANK_VALUES,
        *_plain_values(request),
        request.id,
        queue,
        request.traceparent,
        request.concurrency_key,
        None if request.unique is None else request.unique.key,
        belongs_to.group_id,
        belongs_to.schedule_id,
        orjson.dumps(request.labels).decode() if request.labels else NO_LABELS,
        None if request.backoff is None else request.backoff.model_dump_json(),
        JSON_NULL if request.payload is None else orjson.dumps(request.payload).decode(),
        now,
        now,
    )
    return TaskState._make(_as_columns(values))
