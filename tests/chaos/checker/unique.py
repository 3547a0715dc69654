"""Invariants of unique keys."""

from collections.abc import Iterator

from tests.chaos.checker.history import DEBOUNCED, History, Outcome
from tests.chaos.checker.log import TERMINAL
from tests.chaos.checker.requests import CREATING


def a_key_has_one_holder_at_a_time(history: History) -> Iterator[str]:
    """No task is made under a key that another one holds: until its end, or, if it is debounced, until it is queued."""
    keys: dict[str, str] = {}
    holders: dict[str, str] = {}
    for event in history.log:
        if event.type == "created" and event.data.get("unique_key") is not None:
            key = keys[event.task_id] = event.data["unique_key"]
            if key in holders:
                yield f"task {event.task_id} was made under {key}, which task {holders[key]} held"
            holders[key] = event.task_id
        is_released = event.type in {*TERMINAL, "deleted"}
        is_released |= event.type == "queued" and DEBOUNCED in event.data.get("labels", {})
        if is_released and holders.get(keys.get(event.task_id, "")) == event.task_id:
            del holders[keys[event.task_id]]


def who_asks_under_a_key_is_told_one_of_it(history: History) -> Iterator[str]:
    """An accepted creation is answered with the task that it made, or with the one that held its key."""
    keys = {
        event.task_id: event.data["unique_key"]
        for event in history.log
        if event.type == "created" and event.data.get("unique_key") is not None
    }
    wanted: dict[str | None, str] = {}
    for operation in history.operations:
        if operation.verb not in CREATING:
            continue
        if operation.outcome is Outcome.INVOKE and operation.unique_key is not None:
            wanted[operation.key] = operation.unique_key
        elif operation.outcome is Outcome.OK and operation.key in wanted:
            for seen in operation.seen:
                if keys.get(seen.task_id) != wanted[operation.key]:
                    yield f"key {operation.key} wanted {wanted[operation.key]}, and was told task {seen.task_id}"


def keys_are_held_by_who_has_not_ended(history: History) -> Iterator[str]:
    """In the end, a key that is held is that of a task which is there, and goes on."""
    for key, task_id in history.held_keys.items():
        row = history.rows.get(task_id)
        if row is None or row["unique_key"] != key or row["status"] in TERMINAL:
            yield f"{key} is held by task {task_id}, which is {row and row['status']}"
