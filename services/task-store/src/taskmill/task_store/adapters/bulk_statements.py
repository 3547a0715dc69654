"""Fixed SQL of bulk operations. A test holds the columns against the model."""

BULK_OPERATION_COLUMNS = {
    "id": "uuid",
    "action": "text",
    "filter": "json",
    "ids": "uuid[]",
    "dry_run": "boolean",
    "force": "boolean",
    "status": "text",
    "waiting_for": "text",
    "position": "text",
    "matched": "bigint",
    "done": "bigint",
    "refusals": "json",
    "created_at": "timestamptz",
    "finished_at": "timestamptz",
}

_NAMES = ", ".join(BULK_OPERATION_COLUMNS)
_PARAMETERS = ", ".join(f"${number}::{kind}" for number, kind in enumerate(BULK_OPERATION_COLUMNS.values(), start=1))

ADD_BULK_OPERATION = f"INSERT INTO bulk_operations ({_NAMES}) VALUES ({_PARAMETERS})"  # noqa: S608  (names from above)

MOVE_BULK_OPERATION = """
UPDATE bulk_operations SET status = $2, waiting_for = $3, position = $4, matched = $5, done = $6, refusals = $7,
    finished_at = $8
WHERE id = $1
"""
"""Writes how far an operation is. Under the lock of the event log, nobody else moves it meanwhile."""

BULK_OPERATIONS = f"SELECT {_NAMES} FROM bulk_operations WHERE id = ANY($1::uuid[])"  # noqa: S608

RUNNING_BULK_OPERATIONS = f"""
SELECT {_NAMES} FROM bulk_operations WHERE status = 'running'
ORDER BY waiting_for IS NOT NULL, id <= $2, id LIMIT $1
"""  # noqa: S608

FORGET_BULK_OPERATIONS = """
DELETE FROM bulk_operations WHERE id IN (
    SELECT id FROM bulk_operations WHERE finished_at < $1 ORDER BY finished_at LIMIT $2
)
"""
