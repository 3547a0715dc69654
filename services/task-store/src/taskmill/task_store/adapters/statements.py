"""The statements that read, decide and write tasks: fixed SQL for asyncpg. Others stand in the module that needs them.

A statement that writes takes its rows as one JSON array: a thousand rows cost one parameter, one round trip and one
plan, and this process half of what an array for each column does. Events, though, come as such arrays, for PostgreSQL
would have to unescape their documents.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from itertools import count
from operator import itemgetter
from typing import NamedTuple

from taskmill.task_store.adapters.models import (
    AttemptRow,
    EventRow,
    IdempotencyKeyRow,
    KindRow,
    LineRow,
    TaskRow,
    TurnStartRow,
    UniqueKeyRow,
    columns,
)
from taskmill.task_store.domain.queues import COUNTERS
from taskmill.task_store.domain.state import DOCUMENTS, TaskState

EVENT_LOG_LOCK = 0x7461_736B_7631
"""Key of the one lock that every writer of events takes before any row lock: commit order is position order."""

TASK_COLUMNS = columns(TaskRow)
ATTEMPT_COLUMNS = columns(AttemptRow)
KEY_COLUMNS = columns(IdempotencyKeyRow)
KIND_COLUMNS = columns(KindRow)
LINE_COLUMNS = columns(LineRow)
TURN_START_COLUMNS = columns(TurnStartRow)
UNIQUE_COLUMNS = columns(UniqueKeyRow)
EVENT_COLUMNS = {name: kind for name, kind in columns(EventRow).items() if name not in {"position", "recorded_at"}}


class WrittenRows(NamedTuple):
    """What `write_statement` is told of tasks, attempts and queues: its first parameters, in this order.

    Rows come as `json_rows` makes them: those of tasks to insert, to update and to delete, those of attempts, and what
    changes of how many wait in queues. `touched` is how many rows are to be updated or deleted.
    """

    created: str
    changed: str
    deleted: str
    attempts: str
    counts: str
    touched: int


_FIRST_EVENT_PARAMETER = len(WrittenRows._fields) + 1
_FIRST_OTHER_PARAMETER = _FIRST_EVENT_PARAMETER + len(EVENT_COLUMNS)


def _parameter(name: str) -> int:
    return WrittenRows._fields.index(name) + 1


def _names(columns: Iterable[str]) -> str:
    return ", ".join(columns)


def _values(columns: Mapping[str, str]) -> str:
    """The columns of `new` as the table takes them. JSON travels as a string, so that its text is kept as it is."""
    return ", ".join(f"new.{name}::{kind}" if "json" in kind else f"new.{name}" for name, kind in columns.items())


def _rows(parameter: int, columns: Mapping[str, str]) -> str:
    """A parameter, an array of objects, as the table `new`."""
    types = ", ".join(f"{name} {'text' if 'json' in kind else kind}" for name, kind in columns.items())
    return f"json_to_recordset(${parameter}) AS new ({types})"


_LISTED_COLUMNS = frozenset({"type", "kind"})
"""Columns of events that come as one text each, with commas between, which names have not. Of an array the driver asks
each value whether it is one, too, which takes as long as all else."""


def _arrays(first: int, columns: Mapping[str, str]) -> str:
    """Parameters from `$first` on as arrays, one for each column."""
    return ", ".join(
        f"string_to_array(${number}, ',')" if name in _LISTED_COLUMNS else f"${number}::{kind}[]"
        for number, (name, kind) in enumerate(columns.items(), start=first)
    )


_READ_VERSION = {"read_version": "integer"}

# What tells that a row is still as it was read. Not all that processors report makes an event, and so a version.
_MARKS = ("version", "checkpoint_number", "submission_number")
_READ_MARKS = {f"read_{name}": TASK_COLUMNS[name] for name in _MARKS}
_IS_AS_READ = " AND ".join(f"tasks.{name} = new.read_{name}" for name in _MARKS)
_marks = itemgetter(*map(TaskState._fields.index, _MARKS))


def read_marks(state: TaskState) -> dict[str, int]:
    """What the statement that writes compares a row with, beside what it changes of it."""
    return dict(zip(_READ_MARKS, _marks(state), strict=True))


_LASTING = (
    *("title", "description", "kind", "queue", "priority", "labels", "max_attempts", "backoff", "timeout_seconds"),
    *("run", "first_attempt", "concurrency_key", "unique_key", "group_id", "schedule_id", "payload", "created_at"),
)
"""What reports leave as it is. A third of a row: not to write it spares PostgreSQL 2.5 µs for each."""

_MOVING_COLUMNS = {name: kind for name, kind in TASK_COLUMNS.items() if name not in _LASTING}
_CHANGED_COLUMNS = {name: kind for name, kind in TASK_COLUMNS.items() if name != "created_at"}
_lasting = itemgetter(*map(TaskState._fields.index, _LASTING))


def moves_only(before: TaskState, after: TaskState) -> bool:
    """Whether of a task only that has changed which reports change."""
    return bool(_lasting(before) == _lasting(after))


def changed_columns(*, moving_only: bool) -> Mapping[str, str]:
    """The columns that are written of changed tasks, `id` among them."""
    return _MOVING_COLUMNS if moving_only else _CHANGED_COLUMNS


def _assignments(columns: Mapping[str, str]) -> str:
    # Documents are left as they are unless they were read.
    return ", ".join(
        f"{name} = coalesce(new.{name}::{kind}, tasks.{name})" if name in DOCUMENTS else f"{name} = new.{name}::{kind}"
        for name, kind in columns.items()
        if name != "id"
    )


_KIND_ASSIGNMENTS = ", ".join(f"{name} = excluded.{name}" for name in KIND_COLUMNS if name != "name")
_QUEUE_CHANGE = {"name": "text", "delta": "bigint", "most_waiting": "bigint", **dict.fromkeys(COUNTERS, "bigint")}
_COUNTER_ASSIGNMENTS = "".join(f", {name} = queues.{name} + new.{name}" for name in COUNTERS)
_READ_HOLDER = {"read_task_id": "uuid"}
_RELEASED = {"key": "text", "task_id": "uuid", "is_ended": "boolean"}
_HOLD_ASSIGNMENTS = ", ".join(f"{name} = new.{name}" for name in UNIQUE_COLUMNS if name != "key")
_LAST_LINE = {"task_id": "uuid", "position": "bigint"}
_ATTEMPT_ASSIGNMENTS = ", ".join(
    f"{name} = excluded.{name}" for name in ATTEMPT_COLUMNS if name not in {"task_id", "attempt"}
)


_UNDER_LOCK = f"""event_log AS MATERIALIZED (
    SELECT pg_advisory_xact_lock({EVENT_LOG_LOCK})
)"""


def _created(parameter: int) -> str:
    return f"""created AS (
    INSERT INTO tasks ({_names(TASK_COLUMNS)})
    SELECT {_values(TASK_COLUMNS)} FROM event_log, {_rows(parameter, TASK_COLUMNS)}
)"""  # noqa: S608


def _logged(first: int) -> str:
    return f"""logged AS (
    INSERT INTO task_events ({_names(EVENT_COLUMNS)})
    SELECT {_values(EVENT_COLUMNS)}
    FROM event_log, unnest({_arrays(first, EVENT_COLUMNS)})
        WITH ORDINALITY AS new ({_names(EVENT_COLUMNS)}, ordinal)
    ORDER BY new.ordinal
    RETURNING position
)"""  # noqa: S608


CREATE_TASKS = f"WITH {_UNDER_LOCK}, {_created(1)}, {_logged(2)} SELECT min(position) FROM logged"  # noqa: S608
"""Writes tasks that are new, if nothing else is to be written but events: as `write_statement`, without its other
parts. Takes `WrittenRows.created`, then the events; returns where in the log the first event is."""


@cache
def write_statement(
    *,
    moving_only: bool = False,
    with_keys: bool = False,
    with_lines: bool = False,
    with_turns: bool = False,
    with_unique: bool = False,
) -> str:
    """Make the statement that writes what a batch decided of tasks.

    It takes `WrittenRows`, then the events, as one array for each of their columns; `moving_only` of changed tasks only
    what reports change; `with_keys` the answers of
    idempotency keys; `with_lines` the lines to insert, and up to which position those of each task are to be deleted;
    `with_turns` the term in which turns are given, whose row counts as one that is touched, and what they add to rates.
    `with_unique` the unique keys that are taken, those that pass on, of which each counts as touched, and those that
    are released. That a key is held already fails as a unique violation.

    Returns how many wait now in the queues where that changed, and where in the log the first event is; the others
    follow it one by one.

    If fewer rows are updated or deleted than there should be, because a task is no longer as it was read, or a queue
    has no room, the statement undoes itself: dividing by zero is how SQL does that without a function of its own. The
    lock is a CTE that every part reads from, so that this one statement is a whole transaction. Within one that holds
    the lock already, taking it again costs nothing.
    """
    changed = changed_columns(moving_only=moving_only)
    # Each part costs some 20 µs, even if there is nothing to write.
    parameter = count(_FIRST_OTHER_PARAMETER)
    others = ""
    if with_keys:
        others += f"""keyed AS (
    INSERT INTO idempotency_keys ({_names(KEY_COLUMNS)})
    SELECT {_values(KEY_COLUMNS)} FROM event_log, {_rows(next(parameter), KEY_COLUMNS)}
), """  # noqa: S608  (names from the tables above)
    if with_lines:
        others += f"""told AS (
    INSERT INTO task_lines ({_names(LINE_COLUMNS)})
    SELECT {_values(LINE_COLUMNS)} FROM event_log, {_rows(next(parameter), LINE_COLUMNS)}
), dropped AS (
    DELETE FROM task_lines USING event_log, {_rows(next(parameter), _LAST_LINE)}
    WHERE task_lines.task_id = new.task_id AND task_lines.position <= new.position
), """  # noqa: S608
    touched = "(SELECT count(*) FROM changed) + (SELECT count(*) FROM deleted) + (SELECT count(*) FROM counted)"
    if with_turns:
        # Locked until the commit: a store that begins another term waits for what is given in this one.
        others += f"""fenced AS (
    SELECT number FROM event_log, turn_term WHERE number = ${next(parameter)} FOR SHARE OF turn_term
), rated AS (
    INSERT INTO turn_starts ({_names(TURN_START_COLUMNS)})
    SELECT {_values(TURN_START_COLUMNS)} FROM event_log, {_rows(next(parameter), TURN_START_COLUMNS)}
    ON CONFLICT (limit_name, concurrency_key, slice) DO UPDATE
    SET last_at = excluded.last_at, tasks = turn_starts.tasks + excluded.tasks
), """  # noqa: S608
        touched += " + (SELECT count(*) FROM fenced)"
    if with_unique:
        others += f"""held AS (
    INSERT INTO unique_keys ({_names(UNIQUE_COLUMNS)})
    SELECT {_values(UNIQUE_COLUMNS)} FROM event_log, {_rows(next(parameter), UNIQUE_COLUMNS)}
), moved AS (
    UPDATE unique_keys SET {_HOLD_ASSIGNMENTS}
    FROM event_log, {_rows(next(parameter), UNIQUE_COLUMNS | _READ_HOLDER)}
    WHERE unique_keys.key = new.key AND unique_keys.task_id = new.read_task_id
    RETURNING unique_keys.key
), released AS (
    DELETE FROM unique_keys USING event_log, {_rows(next(parameter), _RELEASED)}
    WHERE unique_keys.key = new.key AND unique_keys.task_id = new.task_id
        AND (new.is_ended OR unique_keys.is_debounced)
), """  # noqa: S608
        touched += " + (SELECT count(*) FROM moved)"
    return f"""
WITH {_UNDER_LOCK}, {_created(_parameter("created"))}, changed AS (
    UPDATE tasks SET {_assignments(changed)} FROM event_log, {_rows(_parameter("changed"), {**changed, **_READ_MARKS})}
    WHERE tasks.id = new.id AND {_IS_AS_READ}
    RETURNING tasks.id
), deleted AS (
    DELETE FROM tasks USING event_log, {_rows(_parameter("deleted"), {"id": "uuid"} | _READ_VERSION)}
    WHERE tasks.id = new.id AND tasks.version = new.read_version
    RETURNING tasks.id
), attempted AS (
    INSERT INTO task_attempts ({_names(ATTEMPT_COLUMNS)})
    SELECT {_values(ATTEMPT_COLUMNS)} FROM event_log, {_rows(_parameter("attempts"), ATTEMPT_COLUMNS)}
    ON CONFLICT (task_id, attempt) DO UPDATE SET {_ATTEMPT_ASSIGNMENTS}
), counted AS (
    UPDATE queues SET idle_since = NULL, waiting = waiting + new.delta{_COUNTER_ASSIGNMENTS}
    FROM event_log, {_rows(_parameter("counts"), _QUEUE_CHANGE)}
    WHERE queues.name = new.name AND queues.waiting <= coalesce(new.most_waiting, queues.waiting)
    RETURNING queues.name, queues.waiting
), {others}{_logged(_FIRST_EVENT_PARAMETER)}
SELECT 1 / ({touched} = ${_parameter("touched")}::bigint)::integer,
    (SELECT json_object_agg(name, waiting) FROM counted), (SELECT min(position) FROM logged)
"""  # noqa: S608


ADD_QUEUES = """
INSERT INTO queues (name, created_at) SELECT name, now() FROM unnest($1::text[]) AS new (name)
ON CONFLICT (name) DO NOTHING
"""

DECLARE_KINDS = f"""
INSERT INTO kinds ({_names(KIND_COLUMNS)}) SELECT {_values(KIND_COLUMNS)} FROM {_rows(1, KIND_COLUMNS)}
ON CONFLICT (name) DO UPDATE SET {_KIND_ASSIGNMENTS}
"""  # noqa: S608

BEGIN_UNDER_LOCK = f"BEGIN; SELECT pg_advisory_xact_lock({EVENT_LOG_LOCK})"


def effective_dispatch(floor: int) -> str:
    """The dispatch of a task as it counts, when no execution of an earlier epoch of the log may (`LogEpoch`)."""
    return f"greatest(dispatch, {floor})" if floor else "dispatch"


def load_statement(dispatch_floor: int) -> str:
    """Make the statement that reads tasks, with their documents where they are asked for.

    Reading a row with its large documents costs as much as all its other columns.
    """
    special = {name: f"CASE WHEN id = ANY($2::uuid[]) THEN {name} END" for name in DOCUMENTS}
    special["dispatch"] = effective_dispatch(dispatch_floor)
    selected = _names(f"{special[name]} AS {name}" if name in special else name for name in TASK_COLUMNS)
    return f"SELECT {selected} FROM tasks WHERE id = ANY($1::uuid[])"  # noqa: S608


TURN_TERM = "SELECT number FROM turn_term"

# Of a deleted task only the end of its events may be left, and of one that is there not even that.
USED_IDS = """
SELECT task_id FROM task_events WHERE task_id = ANY($1::uuid[]) UNION SELECT id FROM tasks WHERE id = ANY($1::uuid[])
"""

QUEUES = "SELECT name, waiting, paused_at IS NOT NULL AS is_paused FROM queues"

KINDS = f"SELECT {_names(KIND_COLUMNS)} FROM kinds"  # noqa: S608

STORED_ANSWERS = f"""
SELECT {_names(KEY_COLUMNS)} FROM idempotency_keys
WHERE (scope, key) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""  # noqa: S608

HELD_KEYS = f"SELECT {_names(UNIQUE_COLUMNS)} FROM unique_keys WHERE key = ANY($1::text[])"  # noqa: S608

GET_CHECKPOINT = "SELECT checkpoint FROM tasks WHERE id = $1 AND run = $2 AND is_run_active"

GET_TASK = f"SELECT {_names(TASK_COLUMNS)} FROM tasks WHERE id = $1"  # noqa: S608

GET_VERSION = "SELECT version FROM tasks WHERE id = $1"

DUE_TASKS = "SELECT id, run_at FROM tasks WHERE run_at IS NOT NULL ORDER BY run_at LIMIT $1"

# A page ends early, before its documents exceed what a message takes; `candidates` tells that more follow.
EVENT_PAGE = """
SELECT version, document, candidates FROM (
    SELECT version, document,
        count(*) OVER () AS candidates,
        sum(octet_length(document) + 1) OVER (ORDER BY version) AS page_bytes
    FROM (
        SELECT version, document FROM task_events
        WHERE task_id = $1 AND version > $2 ORDER BY version LIMIT $3
    ) AS candidate
) AS sized WHERE page_bytes <= $4 ORDER BY version
"""

LINE_PAGE = """
SELECT tasks.line_count - (SELECT count(*) FROM task_lines WHERE task_id = tasks.id) AS dropped, line.*
FROM tasks LEFT JOIN LATERAL (
    SELECT task_id, position, attempt, at, level, text FROM task_lines
    WHERE task_id = tasks.id AND position > $2 ORDER BY position LIMIT $3
) AS line ON true
WHERE tasks.id = $1 ORDER BY line.position
"""
