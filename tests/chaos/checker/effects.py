"""Invariants that hold the log against what handlers truly did."""

from collections.abc import Iterator
from itertools import pairwise

from tests.chaos.checker.history import Effect, History, LoggedEvent, instant

CLOCK_SLACK_SECONDS = 0.005


def no_stale_report_applied(history: History) -> Iterator[str]:
    """An attempt is never taken back by an earlier delivery, and its result is that of the execution which held it."""
    for task_id, events in history.log_by_task.items():
        holder: LoggedEvent | None = None
        for event in events:
            if event.type == "started":
                if holder is not None and _fence(event) < _fence(holder):
                    yield f"task {task_id}: version {event.version} is of {_fence(event)}, after {_fence(holder)}"
                holder = event
            effect = _effect_of(history, event)
            if effect is None or holder is None:
                continue
            if (effect.attempt, effect.processor_id) != (event.attempt, holder.data["processor_id"]):
                yield (
                    f"task {task_id}: version {event.version} has the result of attempt {effect.attempt} by "
                    f"{effect.processor_id}, while {holder.data['processor_id']} held attempt {event.attempt}"
                )


def one_effective_completion(history: History) -> Iterator[str]:
    """Every completion is the result of one execution that came to its end, and the row keeps that result."""
    finished = {effect.execution for effect in history.effects if effect.phase == "end"}
    for task_id, row in history.rows.items():
        if row["status"] != "completed":
            continue
        result = row["result"]
        execution = result.get("execution") if isinstance(result, dict) else None
        if execution not in finished:
            yield f"task {task_id} is completed, but its result is of no execution that ended: {execution}"
        elif history.executions[execution].task_id != task_id:
            yield f"task {task_id} has the result of task {history.executions[execution].task_id}"


def cancelled_before_its_start_never_ran(history: History) -> Iterator[str]:
    """What is cancelled while pending or scheduled is not executed."""
    for task_id, events in history.log_by_task.items():
        tried: set[int] = set()
        for before, event in pairwise(events):
            # Work that was handed out once may have been begun somewhere, and the run of it may have ended before.
            if before.type == "queued":
                tried.add(before.attempt)
            if event.type == "cancelled" and before.status in {"pending", "scheduled"} and event.attempt not in tried:
                for effect in history.begun.get((task_id, event.attempt), ()):
                    yield f"task {task_id}: execution {effect.execution} although cancelled while {before.status}"


SAME_ATTEMPT = ("unknown_kind", "not_now")
"""Reasons to wait after which the same attempt goes on, which may have been begun before."""


def nothing_runs_early(history: History) -> Iterator[str]:
    """An execution never begins before the time that its task was scheduled for."""
    for event in history.log:
        if event.type == "scheduled" and event.data["run_at"] is not None:
            due_at = instant(event.data["run_at"])
            for effect in history.begun.get((event.task_id, event.attempt), ()):
                if effect.at < due_at - CLOCK_SLACK_SECONDS and event.data["reason"] not in SAME_ATTEMPT:
                    yield f"task {event.task_id}: attempt {event.attempt} began {due_at - effect.at:.3f} s early"


def every_start_was_committed_first(history: History) -> Iterator[str]:
    """An execution belongs to an attempt that the log knows: no work is published before its commit."""
    known = {(event.task_id, event.attempt) for event in history.log if event.type == "queued"}
    for task_id, attempt in history.begun:
        if (task_id, attempt) not in known:
            yield f"task {task_id}: attempt {attempt} was executed, but never queued"


def _fence(started: LoggedEvent) -> tuple[int, int, int]:
    return started.attempt, started.data["dispatch"], started.data["delivery"]


def _effect_of(history: History, event: LoggedEvent) -> Effect | None:
    result = event.data.get("result") if event.type == "completed" else None
    return history.executions.get(result["execution"]) if isinstance(result, dict) and "execution" in result else None
