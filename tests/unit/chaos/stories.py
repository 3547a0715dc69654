"""A small history in which everything is right, to plant mistakes in."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tests.chaos.checker.history import Effect, FaultWindow, History, LoggedEvent, Operation, Outcome, SeenTask

BASE_SECONDS = 1_795_521_600.0
"""2026-11-24T12:00:00Z."""


def event(version: int, kind: str, task_id: str = "a", **data: Any) -> LoggedEvent:
    """An event of a task, by default of its first run and attempt, `version` seconds after the base time."""
    data = {"run": 1, "attempt": 1, "revision": version, "kind": "chaos-work", "queue": "default", **data}
    time = datetime.fromtimestamp(BASE_SECONDS + version, UTC).isoformat()
    document = json.dumps({"id": f"{task_id}.{version}", "time": time, "data": data})
    return LoggedEvent(task_id, version, kind, document, data)


def started(version: int, processor_id: str = "p-1", delivery: int = 1, **data: Any) -> LoggedEvent:
    """An execution took the attempt over."""
    return event(
        version, "started", status="in_progress", processor_id=processor_id, delivery=delivery, dispatch=1, **data
    )


def begin(execution: str, processor_id: str, at: float, *, phase: str = "begin", attempt: int = 1) -> Effect:
    """A line of the ledger, `at` seconds after the base time."""
    return Effect(execution, "a", 1, attempt, processor_id, phase, BASE_SECONDS + at)


def operation(outcome: Outcome, at: float = 0, **details: Any) -> Operation:
    """A line of the load's history: by default of the creation of task a."""
    return Operation(**{"outcome": outcome, "client": 1, "verb": "create", "key": "k", "at": at, **details})


def sound() -> History:
    """Task a is created, delivered twice because of a kill, and completed; its report of the first delivery is stale.

    Task b is cancelled by its lease's end, after a first execution that never told anything.
    """
    log = [
        event(1, "created", status="pending", run=0, attempt=0),
        event(2, "queued", status="queued", dispatch=1, reason="process", attempt_limit=1),
        started(3),
        started(4, "p-2", delivery=2),
        event(5, "completed", status="completed", result={"execution": "x2"}),
        event(1, "created", "b", status="pending", run=0, attempt=0),
        event(2, "queued", "b", status="queued", dispatch=1, reason="process", attempt_limit=1),
        event(3, "started", "b", status="in_progress", processor_id="p-1", delivery=1, dispatch=1),
        event(4, "cancel_requested", "b", status="in_progress"),
        event(5, "cancelled", "b", status="cancelled", cancellation="expired"),
    ]
    return History(
        operations=[
            operation(Outcome.INVOKE, marks=("m",)),
            operation(Outcome.INFO),
            operation(Outcome.INVOKE, marks=("m",)),
            operation(Outcome.OK, seen=(SeenTask("a", 2),), http_status=201, is_replayed=True),
            operation(Outcome.INVOKE, key="k2", marks=("n",)),
            operation(Outcome.OK, key="k2", seen=(SeenTask("b", 2),), http_status=201),
            operation(Outcome.INVOKE, verb="read", key=None, task_id="a"),
            operation(Outcome.OK, verb="read", key=None, task_id="a", seen=(SeenTask("a", 4),), http_status=200),
        ],
        faults=[FaultWindow("processor_killed", "p", BASE_SECONDS + 1, BASE_SECONDS + 2, 60)],
        effects=[
            begin("x1", "p-1", 0.5),
            begin("x1", "p-1", 3.5, phase="end"),
            begin("x2", "p-2", 3),
            begin("x2", "p-2", 4, phase="end"),
        ],
        log=log,
        witnessed=[*log, log[0], log[3]],
        reported=["x1", "x2"],
        rows={
            "a": row("a", "m", version=5, revision=5, status="completed", result={"execution": "x2"}),
            "b": row("b", "n", version=5, revision=5, status="cancelled"),
        },
        schedules=[
            {
                "id": "s",
                "interval_seconds": 2,
                "created_at": "2026-11-24T11:59:00.25Z",
                "last_fire_at": "2026-11-24T11:59:04Z",
                "missed_count": 0,
            }
        ],
        fires=[
            {"task_id": "f1", "schedule_id": "s", "fire_at": "2026-11-24T11:59:02Z", "outcome": "skipped"},
            {"task_id": "f2", "schedule_id": "s", "fire_at": "2026-11-24T11:59:04Z", "outcome": "skipped"},
        ],
        reconnects=1,
    )


def row(task_id: str, mark: str, **columns: Any) -> dict[str, Any]:
    """A row of `tasks`."""
    defaults = {
        "status": "completed",
        "version": 1,
        "revision": 1,
        "run": 1,
        "attempt": 1,
        "dispatch": 1,
        "is_run_active": False,
        "result": None,
        "error": None,
    }
    labels = {"labels": {"mark": mark}, "kind": "chaos-work", "queue": "default"}
    return {"id": task_id, **defaults, **labels, **columns}


def with_row(history: History, task_id: str, **columns: Any) -> History:
    """The history with some columns of a row changed."""
    return replace(history, rows={**history.rows, task_id: {**history.rows[task_id], **columns}})


def with_log(history: History, change: Callable[[list[LoggedEvent]], Sequence[LoggedEvent]]) -> History:
    """The history with another log, of which the bus told the same."""
    log = change(list(history.log))
    return replace(history, log=log, witnessed=log)
