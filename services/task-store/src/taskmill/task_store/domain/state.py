"""A task as the rules see it."""

from collections.abc import Callable, Iterable
from datetime import datetime
from enum import StrEnum
from operator import itemgetter
from typing import Annotated, Any, NamedTuple, get_args, get_type_hints
from uuid import UUID

import orjson

from taskmill.contracts.status import Priority, TaskStatus
from taskmill.contracts.tasks import AttemptOutcome, DependencyFailure, LineLevel

JSON_NULL = "null"
NO_LABELS = "{}"

JsonText = Annotated[str, "JSON"]
"""A value that is kept, and told, as the text that it came as."""


class Hold(StrEnum):
    """What a task is held by before it may be queued."""

    DEPENDENCIES = "dependencies"
    """Tasks that it comes after."""
    TURN = "turn"
    """The limits and the fair share that hold for it."""


class TaskState(NamedTuple):
    """A task's row: these fields, in this order, are the columns of `tasks`.

    A named tuple, because it is immutable, is made from a row as it comes, and goes into a statement as it is. Fields
    whose name is that of a field of `taskmill.contracts.tasks.Task` mean the same.
    """

    id: UUID
    title: str
    description: str | None
    kind: str
    queue: str
    priority: Priority
    labels: JsonText
    status: TaskStatus
    is_run_active: bool
    """Whether the task is queued, scheduled, or in progress within a run. Every report requires it."""
    version: int
    revision: int
    run: int
    attempt: int
    attempt_limit: int
    dispatch: int
    """Number of the newest work item. It rises over the whole life of the task, so that it is never ambiguous."""
    delivery: int
    """JetStream's delivery count of the execution that holds the attempt; 0: nobody has started this dispatch."""
    crashes: int
    """Deliveries of the newest attempt that started, never ended and were not given back."""
    refusals: int
    """How often processors gave the newest attempt back for not knowing its kind, since one last did."""
    line_count: int
    """Position of the task's newest line, over all attempts: how many there were, dropped or not."""
    line_number: int
    """Number of the newest line of the execution that holds the attempt: those up to it were taken in."""
    checkpoint_number: int
    """Number of the newest checkpoint of the execution that holds the attempt: those up to it are of the past."""
    submission_number: int
    """Number of the newest task that the execution that holds the attempt submitted: those up to it were taken in."""
    max_attempts: int | None
    backoff: JsonText | None
    timeout_seconds: float | None
    run_at: datetime | None
    lease_until: datetime | None
    """Until when the processor holds the attempt, unless it says that it goes on."""
    processor_id: str | None
    cancel_requested_at: datetime | None
    progress: JsonText | None
    error: JsonText | None
    traceparent: str | None
    """Of which span the newest step of its run came, if it is traced: the next one belongs to that."""
    first_attempt: int
    """Number of the newest run's first attempt; 0: it is in no run yet, or began before this was noted."""
    hold: Hold | None
    """What a scheduled task waits for that is not a time; None: it waits for its time, or does not wait."""
    concurrency_key: str | None
    unique_key: str | None
    group_id: UUID | None
    schedule_id: UUID | None
    created_at: datetime
    updated_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    payload: JsonText | None
    """None: it was not read, and is left as it is."""
    result: JsonText | None
    """None: it was not read, and is left as it is."""
    checkpoint: JsonText | None
    """The newest that an execution of the run left; JSON's null: there is none. None: it was not read, and stays."""


DOCUMENTS = frozenset({"payload", "result", "checkpoint"})
"""The fields that may be large: they are read where they are asked for, and else left as they are."""


class AttemptState(NamedTuple):
    """An attempt: these fields, in this order, are the columns of `task_attempts`, which has those that have ended."""

    task_id: UUID
    attempt: int
    run: int
    processor_id: str | None
    delivery: int
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    outcome: AttemptOutcome | None
    error: JsonText | None
    traceback: str | None


class LineState(NamedTuple):
    """A line's row: these fields, in this order, are the columns of `task_lines`."""

    task_id: UUID
    position: int
    attempt: int
    at: datetime
    level: LineLevel
    text: str


class DependencyState(NamedTuple):
    """A dependency's row: these fields, in this order, are the columns of `task_dependencies`."""

    dependent_id: UUID
    """The task, or the group, that comes after."""
    after_id: UUID
    after_version: int
    """That of the task when the dependency was made: what ends it comes behind."""
    on_failure: DependencyFailure
    run_at: datetime | None
    """When the dependent is to be processed at the earliest."""


def json_fields(state: type[NamedTuple]) -> frozenset[str]:
    """The fields of a state that hold JSON."""
    hints = get_type_hints(state, include_extras=True)
    return frozenset(name for name, hint in hints.items() if JsonText in (hint, *get_args(hint)))


def composer(state: type[NamedTuple], names: Iterable[str]) -> Callable[[tuple[Any, ...]], dict[str, Any]]:
    """Make a function that tells fields of a state as orjson takes them, in this order; JSON goes in as it is.

    Args:
        state: What it takes the fields from.
        names: Those of a model's fields. What the state has not is left out.
    """
    known = [name for name in names if name in state._fields]
    values = itemgetter(*map(state._fields.index, known))
    of_json = [(name, state._fields.index(name)) for name in known if name in json_fields(state)]

    def compose(of: tuple[Any, ...]) -> dict[str, Any]:
        told = dict(zip(known, values(of), strict=True))
        for name, position in of_json:
            text = of[position]
            if text is not None:
                told[name] = orjson.Fragment(text)
        return told

    return compose


def changer(*given: str, **fixed: Any) -> Callable[..., TaskState]:
    """Make a function that gives a task as it is, but for some fields; `_replace` does so in twice the time.

    It takes the task, then the values of the fields `given`, in this order; those of `fixed` are always the same.
    """
    # Of a value that is said twice, the later one counts.
    places = {name: place for place, name in enumerate((*TaskState._fields, *fixed, *given))}
    pick = itemgetter(*(places[name] for name in TaskState._fields))
    always = tuple(fixed.values())

    def change(state: TaskState, *values: Any) -> TaskState:
        return TaskState._make(pick((*state, *always, *values)))

    return change


_OUTCOMES = {
    TaskStatus.COMPLETED: AttemptOutcome.COMPLETED,
    TaskStatus.FAILED: AttemptOutcome.FAILED,
    TaskStatus.CANCELLED: AttemptOutcome.CANCELLED,
}


def newest_attempt(state: TaskState) -> AttemptState | None:
    """The attempt that a task's state speaks of; None while it waits to be queued for the first time.

    Only for a task that is in a run, or whose run has just ended.
    """
    if state.queued_at is None:
        return None
    outcome = _OUTCOMES.get(state.status)
    return AttemptState(
        task_id=state.id,
        attempt=state.attempt,
        run=state.run,
        processor_id=state.processor_id,
        delivery=state.delivery,
        queued_at=state.queued_at,
        started_at=state.started_at,
        finished_at=state.finished_at,
        outcome=outcome,
        # Until it ends, the task's error is that of the attempt before.
        error=state.error if outcome is AttemptOutcome.FAILED else None,
        traceback=None,
    )


def next_revision(state: TaskState, status: TaskStatus) -> int:
    """The revision is what clients compare: it moves with the status, not with every event."""
    return state.revision + (status is not state.status)
