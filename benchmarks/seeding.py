"""Tasks, finished or waiting, put into PostgreSQL past the store: a million of them over REST would take all day."""

import asyncpg

RARE_WORD = "zyxomma"
"""In the title of every 1,250th seeded task, and of no other."""

# Every column that has no default or is not left empty by a task that was done once, as the store would have it.
_INSERT = f"""
INSERT INTO tasks (
    id, title, kind, queue, priority, labels, status, is_run_active, version, revision, run, attempt, attempt_limit,
    dispatch, delivery, processor_id, created_at, updated_at, queued_at, started_at, finished_at, payload, result
)
SELECT
    uuidv7(created_at - now()),
    'Resize picture ' || number || ' of album ' || left(md5(number::text), 8)
        || CASE WHEN number % 1250 = 0 THEN ' {RARE_WORD}' ELSE '' END,
    'echo', 'default', (ARRAY['low', 'medium', 'high', 'critical'])[1 + number % 4],
    jsonb_build_object('team', 'team-' || number % 20), 'completed', false, 4, 3, 1, 1, 1, 1, 1, 'processor-1',
    created_at, created_at, created_at, created_at, created_at, '{{"width": 640}}', '{{"width": 640}}'
FROM (
    SELECT number, now() - make_interval(secs => ($2 - number) * 0.01 + 60) AS created_at
    FROM generate_series($1::int, $2::int) AS number
) AS numbers
"""  # noqa: S608 (constants only)
# Tasks as they are when they wait for their turn; those of several keys come in turn.
_INSERT_WAITING = """
INSERT INTO tasks (
    id, title, kind, queue, priority, labels, status, is_run_active, version, revision, run, attempt, attempt_limit,
    first_attempt, dispatch, delivery, hold, concurrency_key, created_at, updated_at, payload, result
)
SELECT
    uuidv7(created_at - now()), 'Wait ' || number, $3, 'default', 'medium', '{}', 'scheduled', true, 2, 1, 1, 1, 1,
    1, 0, 0, 'turn', 'tenant-' || number % $4::int, created_at, created_at, 'null', 'null'
FROM (
    SELECT number, now() - make_interval(secs => ($2 - number) * 0.0001 + 60) AS created_at
    FROM generate_series($1::int, $2::int) AS number
) AS numbers
"""
_COUNT_WAITING = """
INSERT INTO queues (name, created_at, waiting) VALUES ('default', now(), $1)
ON CONFLICT (name) DO UPDATE SET waiting = queues.waiting + excluded.waiting
"""
_GIN_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'tasks' AND indexdef LIKE '% USING gin %'"
_CHUNK_TASKS = 50_000
_TIMEOUT_SECONDS = 900


async def seed_tasks(database_url: str, tasks: int) -> None:
    """Add completed tasks, 100 for each second before now, and let PostgreSQL take its statistics."""
    await _seed(database_url, tasks, _INSERT)


async def seed_waiting_tasks(database_url: str, tasks: int, kind: str, *, keys: int) -> None:
    """Add tasks that wait for their turn, with keys `tenant-0`, `tenant-1` and so on; the store is not told of them."""
    await _seed(database_url, tasks, _INSERT_WAITING, kind, keys)
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(_COUNT_WAITING, tasks)
    finally:
        await connection.close()


async def _seed(database_url: str, tasks: int, insert: str, *arguments: object) -> None:
    connection = await asyncpg.connect(database_url, command_timeout=_TIMEOUT_SECONDS)
    try:
        # These are made several times faster over a full table than with it, and come out the same.
        indexes = await connection.fetch(_GIN_INDEXES)
        for index in indexes:
            await connection.execute(f"DROP INDEX {index['indexname']}")
        for first in range(1, tasks + 1, _CHUNK_TASKS):
            await connection.execute(insert, first, min(first + _CHUNK_TASKS - 1, tasks), *arguments)
        for index in indexes:
            await connection.execute(index["indexdef"])
        await connection.execute("VACUUM (ANALYZE) tasks")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
