"""The statements that read, decide and write tasks: fixed SQL for asyncpg. Others stand in the module that needs them.

A statement that writes takes its rows as one JSON array: a thousand rows cost one parameter, one round trip and one
plan, and this process half of what an array for each column does. Events, though, come as such arrays, for PostgreSQL
would have to unescape their documents.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
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
    zeros,
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

_TASK_ZEROS = zeros(TaskRow)
_ATTEMPT_ZEROS = zeros(AttemptRow)


def _names(columns: Iterable[str]) -> str:
    return ", ".join(columns)


def _values(columns: Mapping[str, str], zeros: Mapping[str, str] | None = None) -> str:
    """The columns of `new` as the table takes them; of those in `zeros` what is left out is 0, or false."""
    return ", ".join(_value(name, kind, zeros or {}) for name, kind in columns.items())


def _value(name: str, kind: str, zeros: Mapping[str, str]) -> str:
    # JSON travels as a string, so that its text is kept as it is.
    if "json" in kind:
        return f"new.{name}::{kind}"
    return f"coalesce(new.{name}, {zeros[name]})" if name in zeros else f"new.{name}"


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
_IS_AS_READ = " AND ".join(f"tasks.{name} = coalesce(new.read_{name}, 0)" for name in _MARKS)
_marks = itemgetter(*map(TaskState._fields.index, _MARKS))


def read_marks(state: TaskState) -> dict[str, int]:
    """What the statement that writes compares a row with, beside what it changes of it. Zeros are left out."""
    return {name: mark for name, mark in zip(_READ_MARKS, _marks(state), strict=True) if mark}


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
        f"{name} = "
        + (f"coalesce(new.{name}::{kind}, tasks.{name})" if name in DOCUMENTS else _value(name, kind, _TASK_ZEROS))
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


def _created(first: int) -> str:
    return f"""created AS (
    INSERT INTO tasks ({_names(TASK_COLUMNS)})
    SELECT {_values(TASK_COLUMNS, _TASK_ZEROS)} FROM event_log, {_rows(first, TASK_COLUMNS)}
)"""  # noqa: S608  (names from the tables above, as below)


def _changed(columns: Mapping[str, str], first: int) -> str:
    return f"""changed AS (
    UPDATE tasks SET {_assignments(columns)} FROM event_log, {_rows(first, {**columns, **_READ_MARKS})}
    WHERE tasks.id = new.id AND {_IS_AS_READ}
    RETURNING tasks.id
)"""  # noqa: S608


def _deleted(first: int) -> str:
    return f"""deleted AS (
    DELETE FROM tasks USING event_log, {_rows(first, {"id": "uuid"} | _READ_VERSION)}
    WHERE tasks.id = new.id AND tasks.version = new.read_version
    RETURNING tasks.id
), forgotten AS (
    DELETE FROM task_attempts USING deleted WHERE task_attempts.task_id = deleted.id
)"""  # noqa: S608


def _attempted(on_conflict: str, first: int) -> str:
    return f"""attempted AS (
    INSERT INTO task_attempts ({_names(ATTEMPT_COLUMNS)})
    SELECT {_values(ATTEMPT_COLUMNS, _ATTEMPT_ZEROS)} FROM event_log, {_rows(first, ATTEMPT_COLUMNS)}
    {on_conflict}
)"""  # noqa: S608


_OVER_ATTEMPTS = f"ON CONFLICT (task_id, attempt) DO UPDATE SET {_ATTEMPT_ASSIGNMENTS}"


def _counted(first: int) -> str:
    return f"""counted AS (
    UPDATE queues SET idle_since = NULL, waiting = waiting + new.delta{_COUNTER_ASSIGNMENTS}
    FROM event_log, {_rows(first, _QUEUE_CHANGE)}
    WHERE queues.name = new.name AND queues.waiting <= coalesce(new.most_waiting, queues.waiting)
    RETURNING queues.name, queues.waiting
)"""  # noqa: S608


def _keyed(first: int) -> str:
    return f"""keyed AS (
    INSERT INTO idempotency_keys ({_names(KEY_COLUMNS)})
    SELECT {_values(KEY_COLUMNS)} FROM event_log, {_rows(first, KEY_COLUMNS)}
)"""  # noqa: S608


def _told(first: int) -> str:
    return f"""told AS (
    INSERT INTO task_lines ({_names(LINE_COLUMNS)})
    SELECT {_values(LINE_COLUMNS)} FROM event_log, {_rows(first, LINE_COLUMNS)}
), dropped AS (
    DELETE FROM task_lines USING event_log, {_rows(first + 1, _LAST_LINE)}
    WHERE task_lines.task_id = new.task_id AND task_lines.position <= new.position
)"""  # noqa: S608


def _given(first: int) -> str:
    # The term is locked until the commit: a store that begins another one waits for what is given in this one.
    return f"""fenced AS (
    SELECT number FROM event_log, turn_term WHERE number = ${first} FOR SHARE OF turn_term
), rated AS (
    INSERT INTO turn_starts ({_names(TURN_START_COLUMNS)})
    SELECT {_values(TURN_START_COLUMNS)} FROM event_log, {_rows(first + 1, TURN_START_COLUMNS)}
    ON CONFLICT (limit_name, concurrency_key, slice) DO UPDATE
    SET last_at = excluded.last_at, tasks = turn_starts.tasks + excluded.tasks
)"""  # noqa: S608


def _held(first: int) -> str:
    return f"""held AS (
    INSERT INTO unique_keys ({_names(UNIQUE_COLUMNS)})
    SELECT {_values(UNIQUE_COLUMNS)} FROM event_log, {_rows(first, UNIQUE_COLUMNS)}
), passed_on AS (
    UPDATE unique_keys SET {_HOLD_ASSIGNMENTS}
    FROM event_log, {_rows(first + 1, UNIQUE_COLUMNS | _READ_HOLDER)}
    WHERE unique_keys.key = new.key AND unique_keys.task_id = new.read_task_id
    RETURNING unique_keys.key
), released AS (
    DELETE FROM unique_keys USING event_log, {_rows(first + 2, _RELEASED)}
    WHERE unique_keys.key = new.key AND unique_keys.task_id = new.task_id
        AND (new.is_ended OR unique_keys.is_debounced)
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


class Part(NamedTuple):
    """A part of the statement that writes.

    Attributes:
        sql: Makes it, given the number of its first parameter.
        parameters: How many it takes.
        touched: The name of what returns a row for each row that has to be there as it was read; None: nothing has to.
    """

    sql: Callable[[int], str]
    parameters: int = 1
    touched: str | None = None


PARTS = {
    "created": Part(_created),
    "moved": Part(partial(_changed, _MOVING_COLUMNS), touched="changed"),
    "edited": Part(partial(_changed, _CHANGED_COLUMNS), touched="changed"),
    "deleted": Part(_deleted, touched="deleted"),
    "attempts": Part(partial(_attempted, "")),
    "attempts_over": Part(partial(_attempted, _OVER_ATTEMPTS)),
    "counts": Part(_counted, touched="counted"),
    "keys": Part(_keyed),
    "lines": Part(_told, parameters=2),
    "turns": Part(_given, parameters=2, touched="fenced"),
    "unique": Part(_held, parameters=3, touched="passed_on"),
    "events": Part(_logged, parameters=len(EVENT_COLUMNS)),
}
"""The parts by name. What each takes, as `json_rows` makes it of rows unless said otherwise:

- `created`: tasks. `moved`: tasks of which only that has changed which reports change; `edited`: others that have
  changed; both with their `read_marks`. `deleted`: the ids of tasks, with the versions that were read.
- `attempts`: those that ended; that one is there already fails as a unique violation. `attempts_over`: the same, over
  those that are there, which stores of earlier releases wrote before they ended (ADR 44).
- `counts`: what changes of how many wait in queues.
- `keys`: the answers of idempotency keys. `lines`: those to insert, and up to which position those of each task are
  to be deleted.
- `turns`: the term in which they are given, and what they add to rates.
- `unique`: the unique keys that are taken, those that pass on, and those that are released. That a key is held already
  fails as a unique violation.
- `events`: one array for each of their columns.
"""


@cache
def write_statement(parts: tuple[str, ...]) -> str:
    """Make the statement that writes what a batch decided of tasks.

    It takes how many rows its parts have to touch, and then what each part takes, in their order. Only parts that have
    something to write should be in it: each of the others would cost some 20 µs.

    Returns how many wait now in the queues where that changed, and where in the log the first event is; the others
    follow it one by one.

    If fewer rows are touched than there should be, because a task is no longer as it was read, a queue has no room, or
    turns are given in another term, the statement undoes itself: dividing by zero is how SQL does that without a
    function of its own. The lock is a CTE that every part reads from, so that this one statement is a whole
    transaction. Within one that holds the lock already, taking it again costs nothing.
    """
    parameter = 2
    written = [_UNDER_LOCK]
    for part in parts:
        written.append(PARTS[part].sql(parameter))
        parameter += PARTS[part].parameters
    touched = [f"(SELECT count(*) FROM {name})" for part in parts if (name := PARTS[part].touched)]  # noqa: S608
    waiting = "(SELECT json_object_agg(name, waiting) FROM counted)" if "counts" in parts else "NULL"
    first_position = "(SELECT min(position) FROM logged)" if "events" in parts else "NULL"
    return f"""
WITH {", ".join(written)}
SELECT 1 / ({" + ".join(touched) or "0"} = $1::bigint)::integer, {waiting}, {first_position}
"""


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
