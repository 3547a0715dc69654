"""A run in figures, and what befell a single task in it."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.chaos.checker.history import AFTER, History, Outcome, instant
from tests.chaos.checker.turns import limit_use
from tests.chaos.checker.verdict import Verdict


def summarise(history: History, verdict: Verdict) -> Mapping[str, Any]:
    """The figures of a run; all of it can be written as JSON."""
    return {
        "accepted": len(history.accepted),
        "tasks": dict(Counter(str(row["status"]) for row in history.rows.values())),
        "dependents": sum(1 for row in history.rows.values() if AFTER in row["labels"]),
        "groups": len({row.get("group_id") for row in history.rows.values()} - {None}),
        "requests": dict(Counter(operation.outcome.value for operation in history.operations)),
        "events": len(history.log),
        "received": len(history.witnessed),
        "executions": len(history.executions),
        "faults": dict(sorted(Counter(fault.name for fault in history.faults if fault.missed is None).items())),
        "kills": sum(1 for fault in history.faults if fault.is_kill and fault.missed is None),
        "least_in_progress": min((fault.in_progress or 0 for fault in history.faults), default=0),
        "limit_use": dict(limit_use(history)),
        "signs": dict(verdict.signs),
        "violations": {name: len(found) for name, found in verdict.violations.items()},
        "shortcomings": list(verdict.shortcomings),
    }


def story(history: History, task_id: str) -> list[str]:
    """Everything that is known of a task, in the order of time, with the faults that came in between."""
    moments = sorted(_moments(history, task_id))
    if moments:
        first, last = moments[0][0], moments[-1][0]
        during = (fault for fault in history.faults if fault.started_at <= last and fault.ended_at >= first)
        moments += [(fault.started_at, f"FAULT {fault.name} {fault.target}") for fault in during]
    return [f"{datetime.fromtimestamp(at, UTC):%H:%M:%S.%f} {what}" for at, what in sorted(moments)]


def _moments(history: History, task_id: str) -> Iterator[tuple[float, str]]:
    for operation in history.operations:
        is_about_it = operation.task_id == task_id or any(seen.task_id == task_id for seen in operation.seen)
        if is_about_it and operation.outcome is not Outcome.INVOKE:
            yield operation.at, f"{operation.verb} {operation.outcome} {operation.http_status} {operation.key}"
    for event in history.log_by_task.get(task_id, ()):
        yield instant(json.loads(event.document)["time"]), f"{event.version} {event.type} {event.data}"[:300]
    for effect in history.effects:
        if effect.task_id == task_id:
            yield effect.at, f"{effect.phase} {effect.execution} attempt {effect.attempt} {effect.processor_id}"
