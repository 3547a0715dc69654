"""Invariants of what clients were told."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.chaos.checker.history import SUBMITTED, History, Outcome, mark_of

CREATING = {"create", "create_many", "create_group"}


def no_accepted_task_lost(history: History) -> Iterator[str]:
    """A task that a 2xx promised has a row, or was deleted on purpose."""
    for task_id, key in history.accepted.items():
        events = history.log_by_task.get(task_id, ())
        if task_id not in history.rows and not any(event.type == "deleted" for event in events):
            yield f"task {task_id} of key {key} has no row"


def only_what_was_to_be_deleted_is(history: History) -> Iterator[str]:
    """A task is deleted when somebody asked for it, and is gone for good once an answer of 2xx said so."""
    asked = {operation.task_id for operation in history.operations if operation.verb == "delete"}
    for event in history.log:
        if event.type == "deleted" and event.task_id not in asked:
            yield f"task {event.task_id} was deleted, and nobody asked for it"
    for operation in history.operations:
        if operation.verb == "delete" and operation.outcome is Outcome.OK and operation.task_id in history.rows:
            yield f"task {operation.task_id} exists although its deletion was confirmed"


def no_phantom_task(history: History) -> Iterator[str]:
    """A row that nobody asked for does not exist."""
    sent = {mark for operation in history.operations for mark in operation.marks}
    for task_id, row in history.rows.items():
        # What a schedule has made has no mark, and is counted by the schedule's times.
        if row.get("schedule_id") is None and (mark_of(row) or "").removesuffix(SUBMITTED) not in sent:
            yield f"task {task_id} was never asked for"


def submitted_tasks_exist_once(history: History) -> Iterator[str]:
    """A run that completed has left the task that its handler submitted, and one only."""
    marks = Counter(mark_of(row) for row in history.rows.values())
    for task_id, row in history.rows.items():
        count = marks[f"{mark_of(row)}{SUBMITTED}"]
        if row["status"] == "completed" and "submits" in row["labels"] and count != 1:
            yield f"task {task_id} submitted one task, of which there are {count}"


def refused_creations_left_nothing(history: History) -> Iterator[str]:
    """A creation whose every answer was a refusal made no task."""
    marks: dict[str, set[str]] = defaultdict(set)
    outcomes: dict[str, set[Outcome]] = defaultdict(set)
    for operation in history.operations:
        if operation.verb in CREATING and operation.key is not None:
            marks[operation.key].update(operation.marks)
            if operation.outcome is not Outcome.INVOKE:
                outcomes[operation.key].add(operation.outcome)
    refused = {mark for key, found in outcomes.items() if found == {Outcome.FAIL} for mark in marks[key]}
    for task_id, row in history.rows.items():
        if mark_of(row) in refused:
            yield f"task {task_id} exists although it was refused"


def one_task_for_each_key(history: History) -> Iterator[str]:
    """However often a request was repeated, there is one task for it, and every answer names that one."""
    rows: dict[str | None, list[str]] = defaultdict(list)
    for task_id, row in history.rows.items():
        if row.get("schedule_id") is None:
            rows[mark_of(row)].append(task_id)
    for mark, task_ids in rows.items():
        if len(task_ids) > 1:
            yield f"mark {mark} has {len(task_ids)} tasks: {sorted(task_ids)}"
    answered: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for operation in history.operations:
        if operation.outcome is Outcome.OK and operation.key is not None:
            answered[operation.key].add(tuple(seen.task_id for seen in operation.seen))
    for key, answers in answered.items():
        if len(answers) > 1:
            yield f"key {key} was answered with {len(answers)} different sets of tasks"


def every_key_was_settled(history: History) -> Iterator[str]:
    """No request stays unknown: repeated with its key, it is answered in the end, and so no 503 hides a commit."""
    last: dict[str, Outcome] = {}
    for operation in history.operations:
        if operation.key is not None:
            last[operation.key] = operation.outcome
    for key, outcome in last.items():
        if outcome not in {Outcome.OK, Outcome.FAIL}:
            yield f"key {key} ended as {outcome}"


def no_internal_error(history: History) -> Iterator[str]:
    """No answer is a 500, and every refusal is a problem document; a 503 says when to come again."""
    for operation in history.operations:
        if operation.http_status == 500:
            yield f"{operation.verb} of client {operation.client} was answered with 500"
        if not operation.is_problem_sound:
            yield f"{operation.verb} of client {operation.client}: {operation.http_status} is no sound problem"


def reads_are_monotonic(history: History) -> Iterator[str]:
    """A client never sees a task go back: not behind what it read before, and not behind what it was promised."""
    newest: dict[tuple[int, str], int] = {}
    asked_to_delete: set[str | None] = set()
    for operation in history.operations:
        if operation.verb == "delete":
            asked_to_delete.add(operation.task_id)
        is_missing = operation.verb == "read" and operation.http_status == 404
        if is_missing and operation.task_id in history.accepted and operation.task_id not in asked_to_delete:
            yield f"client {operation.client} did not find task {operation.task_id}, which it was promised"
        # A stored answer is older on purpose.
        if operation.outcome is not Outcome.OK or operation.is_replayed:
            continue
        for task_id, version in operation.seen:
            known = newest.get((operation.client, task_id), 0)
            if version < known:
                yield f"client {operation.client} saw version {version} of task {task_id} after version {known}"
            newest[operation.client, task_id] = max(version, known)


def every_fault_happened(history: History) -> Iterator[str]:
    """The run shows what its plan says."""
    for fault in history.faults:
        if fault.missed is not None:
            yield f"{fault.name}: {fault.missed}"
