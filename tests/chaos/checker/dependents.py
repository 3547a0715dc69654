"""Invariants of tasks that come after others, and of groups."""

from collections.abc import Iterator, Mapping
from math import inf
from typing import Any

from tests.chaos.checker.effects import CLOCK_SLACK_SECONDS
from tests.chaos.checker.history import AFTER, History, Outcome, mark_of


def nothing_starts_before_what_it_comes_after(history: History) -> Iterator[str]:
    """By what handlers did, not by what the store says of it."""
    ended: dict[str, float] = {}
    for effect in history.effects:
        if effect.phase == "end":
            ended[effect.task_id] = min(effect.at, ended.get(effect.task_id, inf))
    for (task_id, attempt), begun in history.begun.items():
        after = history.rows[task_id]["labels"].get(AFTER) if task_id in history.rows else None
        if after is not None and begun[0].at < ended.get(after, inf) - CLOCK_SLACK_SECONDS:
            yield f"task {task_id}: attempt {attempt} began before the end of task {after}"


def what_is_not_completed_cancels_what_comes_after(history: History) -> Iterator[str]:
    """And nothing else does: a task is cancelled if the one that it comes after was never completed."""
    completed = {event.task_id for event in history.log if event.type == "completed"}
    for task_id, row in history.rows.items():
        after = row["labels"].get(AFTER)
        if after is not None and (row["status"] == "cancelled") is (after in completed):
            yield f"task {task_id} is {row['status']}, it came after task {after}"


def groups_have_one_outcome(history: History) -> Iterator[str]:
    """An accepted group is there with all its tasks, and that for its outcome had one run, the other none."""
    rows = {mark_of(row): row for row in history.rows.values()}
    asked = [operation for operation in history.operations if operation.verb == "create_group"]
    accepted = {operation.key for operation in asked if operation.outcome is Outcome.OK}
    marks = {operation.key: operation.marks for operation in asked if operation.marks and operation.key in accepted}
    for key, wanted in marks.items():
        missing = [mark for mark in wanted if mark not in rows]
        if missing:
            yield f"group of key {key} has no tasks with the marks {missing}"
            continue
        *tasks, on_completed, on_failed = (rows[mark] for mark in wanted)
        is_completed = all(task["status"] == "completed" for task in tasks)
        follow_ups = ((on_completed, is_completed), (on_failed, not is_completed))
        for row, is_wanted in follow_ups:
            runs = _times_let_go(history, row)
            if runs != is_wanted or (row["status"] == "cancelled") is is_wanted:
                yield f"group of key {key}: task {row['id']} is {row['status']} after {runs} runs, {is_completed=}"


def _times_let_go(history: History, row: Mapping[str, Any]) -> int:
    events = history.log_by_task.get(row["id"], ())
    return sum(event.type == "queued" and event.data["reason"] in {"process", "due"} for event in events)
