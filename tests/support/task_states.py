"""Task states, requests and reports for tests of the store's rules."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from taskmill.contracts.reports import (
    Cancelled,
    Checkpointed,
    Completed,
    Failed,
    GivenBack,
    Heartbeat,
    Logged,
    Progressed,
    RunReport,
    Started,
    Submitted,
)
from taskmill.contracts.requests import CreateTask, IdentifiedTask
from taskmill.contracts.tasks import Line, LineLevel, Progress, TaskError
from taskmill.task_store.domain.creation import decide_create
from taskmill.task_store.domain.endings import decide_cancel
from taskmill.task_store.domain.reports import Hearing, decide_report
from taskmill.task_store.domain.retries import NO_DEFAULTS
from taskmill.task_store.domain.runs import RunRules
from taskmill.task_store.domain.state import TaskState

TASK_ID = UUID("01a20000-0000-7000-8000-000000000001")
SUBMITTED_ID = UUID("01a20000-0000-7000-8000-000000000009")
NOW = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
STARTED_AT = NOW + timedelta(seconds=1)
FINISHED_AT = NOW + timedelta(seconds=2)
RULES = RunRules(
    lease=timedelta(seconds=30),
    unknown_kind_backoff=timedelta(seconds=5),
    max_unknown_kind_backoff=timedelta(seconds=300),
)


def no_jitter() -> float:
    """What stands in for chance: waits are as long as they can be."""
    return 0


HEARING = Hearing("processor-1", NOW, RULES, NO_DEFAULTS, no_jitter)


def create_request(**fields: Any) -> CreateTask:
    """A request for the task `TASK_ID`."""
    return CreateTask.model_validate({"id": TASK_ID, "title": "Fetch the front page", **fields})


def pending_task(**fields: Any) -> TaskState:
    """A task that nobody has asked to be processed."""
    return decide_create(create_request(**fields), NO_DEFAULTS, NOW).state


def queued_task(**fields: Any) -> TaskState:
    """A task in its first run, at attempt 1 and dispatch 1."""
    return decide_create(create_request(process=True, **fields), NO_DEFAULTS, NOW).state


def cancelling_task(**fields: Any) -> TaskState:
    """A task in progress whose cancellation a client has asked for."""
    return decide_cancel(after(queued_task(**fields), started()), NOW).state


def after(state: TaskState, *reports: RunReport) -> TaskState:
    """The state after some reports of `processor-1`."""
    for report in reports:
        state = decide_report(state, report, HEARING).state
    return state


def _fence(delivery: int, attempt: int, dispatch: int) -> dict[str, Any]:
    return {"task_id": TASK_ID, "attempt": attempt, "dispatch": dispatch, "delivery": delivery}


def started(delivery: int = 1, *, attempt: int = 1, dispatch: int = 1) -> Started:
    """The handler is about to be called."""
    return Started(**_fence(delivery, attempt, dispatch), started_at=STARTED_AT)


def started_at(at: datetime) -> Started:
    """As `started`, at a time of its own."""
    return started().model_copy(update={"started_at": at})


def heartbeat(delivery: int = 1, *, attempt: int = 1, dispatch: int = 1) -> Heartbeat:
    """The processor lives."""
    return Heartbeat(**_fence(delivery, attempt, dispatch))


def progressed(delivery: int = 1, *, attempt: int = 1, dispatch: int = 1) -> Progressed:
    """Half of the work is done."""
    return Progressed(**_fence(delivery, attempt, dispatch), progress=Progress(fraction=0.5, message="half"))


def checkpointed(
    delivery: int = 1, *, attempt: int = 1, dispatch: int = 1, checkpoint: Any = "half", **fields: Any
) -> Checkpointed:
    """The handler says where to go on."""
    return Checkpointed(**_fence(delivery, attempt, dispatch), checkpoint=checkpoint, **fields)


def submitted(delivery: int = 1, *, attempt: int = 1, dispatch: int = 1, number: int = 1, **fields: Any) -> Submitted:
    """The handler wants a further task to exist: `SUBMITTED_ID`, unless it has another id."""
    task = IdentifiedTask.model_validate({"id": SUBMITTED_ID, "title": "Another", "process": True, **fields})
    return Submitted(**_fence(delivery, attempt, dispatch), number=number, task=task)


def logged(
    delivery: int = 1, *, attempt: int = 1, dispatch: int = 1, first_number: int = 1, dropped: int = 0, lines: int = 1
) -> Logged:
    """The handler wrote so many lines; each says its number."""
    return Logged(
        **_fence(delivery, attempt, dispatch),
        first_number=first_number,
        dropped=dropped,
        lines=[
            Line(at=STARTED_AT, level=LineLevel.INFO, text=f"line {number}")
            for number in range(first_number, first_number + lines)
        ],
    )


def completed(
    delivery: int = 1, *, attempt: int = 1, dispatch: int = 1, result: Any = None, **before: int
) -> Completed:
    """The handler returned."""
    return Completed(
        **_fence(delivery, attempt, dispatch), started_at=STARTED_AT, finished_at=FINISHED_AT, result=result, **before
    )


def failed(delivery: int = 1, *, attempt: int = 1, dispatch: int = 1, **fields: Any) -> Failed:
    """The handler raised."""
    error = TaskError(code="handler_error", type="ValueError", message="no such page")
    times = {"started_at": STARTED_AT, "finished_at": FINISHED_AT}
    return Failed.model_validate({**_fence(delivery, attempt, dispatch), **times, "error": error, **fields})


def cancelled(delivery: int = 1, *, attempt: int = 1, dispatch: int = 1, **before: int) -> Cancelled:
    """The handler was stopped."""
    return Cancelled(**_fence(delivery, attempt, dispatch), started_at=STARTED_AT, finished_at=FINISHED_AT, **before)


def given_back(
    delivery: int = 1, *, attempt: int = 1, dispatch: int = 1, reason: str = "draining", **fields: Any
) -> GivenBack:
    """The processor will not do it."""
    return GivenBack.model_validate({**_fence(delivery, attempt, dispatch), "reason": reason, **fields})


def given_up_executions() -> dict[str, TaskState]:
    """Tasks whose first execution, by `processor-1`, has nothing to say any more: by what became of it."""
    running = after(queued_task(), started())
    return {
        "pending": pending_task(),
        "completed": after(running, completed()),
        "queued again": after(running, given_back()),
        "retried": after(queued_task(max_attempts=2), started(), failed()),
        "taken over": after(running, started(2)),
    }
