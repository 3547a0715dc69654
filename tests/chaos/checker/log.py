"""Invariants of the event log, and of the rows that it explains."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tests.chaos.checker.history import History, LoggedEvent

TERMINAL = {"completed", "failed", "cancelled"}

# By event type: the statuses that it may follow, and those that it may lead to. Written down anew, from the design:
# the service's own table would agree with the service's own mistakes.
_TRANSITIONS: Mapping[str, tuple[set[str], set[str]]] = {
    "queued": ({"pending", "scheduled", "queued", "in_progress", *TERMINAL}, {"queued"}),
    "scheduled": ({"pending", "scheduled", "queued", "in_progress", *TERMINAL}, {"scheduled"}),
    "started": ({"queued", "in_progress"}, {"in_progress"}),
    "progressed": ({"in_progress"}, {"in_progress"}),
    "logged": ({"in_progress"}, {"in_progress"}),
    "completed": ({"in_progress"}, {"completed"}),
    "failed": ({"in_progress", "queued"}, {"failed"}),
    "cancel_requested": ({"in_progress"}, {"in_progress"}),
    "cancelled": ({"pending", "scheduled", "queued", "in_progress"}, {"cancelled"}),
}


def every_task_ends(history: History) -> Iterator[str]:
    """After the drain a task that was asked to be processed is completed, failed or cancelled."""
    for task_id, row in history.rows.items():
        was_asked = int(row["run"]) > 0
        if row["status"] not in TERMINAL and was_asked:
            yield f"task {task_id} is still {row['status']}"


def versions_have_no_gap(history: History) -> Iterator[str]:
    """The events of a task are numbered 1, 2, 3, … in the order of the log, up to the version of its row."""
    for task_id, events in history.log_by_task.items():
        versions = [event.version for event in events]
        if versions != list(range(1, len(versions) + 1)):
            yield f"task {task_id} has the versions {versions}"
    for task_id, row in history.rows.items():
        count = len(history.log_by_task.get(task_id, ()))
        if count != row["version"]:
            yield f"task {task_id} is at version {row['version']} with {count} events"


def one_end_for_each_run(history: History) -> Iterator[str]:
    """A run has one terminal event at most, and nothing of it comes after; the next run begins anew."""
    for task_id, events in history.log_by_task.items():
        ended: set[int] = set()
        before = ""
        for event in events:
            # What a person has set to pending again, and then cancels, is in no run.
            is_by_hand = event.type in {"updated", "deleted"} or (event.type == "cancelled" and before == "pending")
            if event.run in ended and not is_by_hand:
                yield f"task {task_id}: {event.type} (version {event.version}) after the end of run {event.run}"
            if event.type in TERMINAL:
                ended.add(event.run)
            before = event.status


def transitions_are_legal(history: History) -> Iterator[str]:
    """A task begins with `created`, and every event leads from a status to one that the lifecycle knows."""
    for task_id, events in history.log_by_task.items():
        before = ""
        for event in events:
            if not _is_legal(before, event):
                yield f"task {task_id}: {event.type} from {before or 'nothing'} to {event.status}"
            before = event.status


def _is_legal(before: str, event: LoggedEvent) -> bool:
    if event.type == "created":
        # In a creation that asks for processing `created` shows the status before its first run, or after.
        return before == "" and event.status in {"pending", "queued", "scheduled"}
    if event.type in {"updated", "deleted"}:
        return before != ""
    if event.data.get("reason") == "debounced":
        return before == event.status == "scheduled"
    sources, targets = _TRANSITIONS.get(event.type, (set(), set()))
    return before in sources and event.status in targets


def attempts_rise_within_their_limit(history: History) -> Iterator[str]:
    """The number of an attempt never falls, rises by one at a time, and stays within the run's limit."""
    for task_id, events in history.log_by_task.items():
        attempt = limit = 0
        for event in events:
            limit = int(event.data.get("attempt_limit") or limit)
            if event.attempt not in {attempt, attempt + 1}:
                yield f"task {task_id}: attempt {event.attempt} after {attempt} (version {event.version})"
            if event.attempt > attempt and event.type not in {"queued", "scheduled", "created"}:
                yield f"task {task_id}: {event.type} began attempt {event.attempt} (version {event.version})"
            if limit and event.attempt > limit:
                yield f"task {task_id}: attempt {event.attempt} is beyond the limit of {limit}"
            attempt = event.attempt


def rows_are_the_fold_of_their_log(history: History) -> Iterator[str]:
    """What a row says is what its events say when they are read one after the other."""
    for task_id, row in history.rows.items():
        folded = _fold(history.log_by_task.get(task_id, ()))
        for name, value in folded.items():
            if row[name] != value:
                yield f"task {task_id}: {name} is {row[name]!r}, its events say {value!r}"


def _fold(events: tuple[LoggedEvent, ...] | Any) -> Mapping[str, Any]:
    folded: dict[str, Any] = {}
    for event in events:
        folded.update({name: event.data[name] for name in ("status", "revision", "run", "attempt", "kind", "queue")})
        if event.type == "completed":
            folded["result"] = event.data["result"]
        elif event.type in {"queued", "scheduled"} and event.data.get("reason") in {"process", "run_at", "turn"}:
            folded["result"] = None
        if event.type in {"queued", "started"}:
            folded["dispatch"] = event.data["dispatch"]
        if event.type in TERMINAL:
            folded["is_run_active"] = False
    return folded


def lines_are_told_once(history: History) -> Iterator[str]:
    """Each line of a task has a place of its own, behind those before it, and what is missing is said so."""
    for task_id, events in history.log_by_task.items():
        position = 0
        for event in events:
            if event.type == "logged":
                position += event.data["dropped"]
                found = [line["position"] for line in event.data["lines"]]
                if found != list(range(position + 1, position + len(found) + 1)):
                    yield f"task {task_id}: lines {found} behind line {position} (version {event.version})"
                position = max(found, default=position)


def crash_loop_needs_three_crashes(history: History) -> Iterator[str]:
    """A task is called a crash loop only after three executions of the attempt began, and none was told to end."""
    for task_id, events in history.log_by_task.items():
        starts: Counter[int] = Counter(event.attempt for event in events if event.type == "started")
        for event in events:
            if _error_code(event) == "crash_loop" and starts[event.attempt] < 3:
                yield f"task {task_id}: crash_loop after {starts[event.attempt]} starts of attempt {event.attempt}"


def _error_code(event: LoggedEvent) -> str | None:
    error = event.data.get("error")
    return None if event.type != "failed" or error is None else str(error["code"])
