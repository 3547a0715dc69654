"""Fixed SQL of the relay and its lease."""

# What the relay publishes next. The work of a `queued` event only if the task still waits for just that dispatch; that
# an execution must be stopped only if no newer run has begun, whose work would be hit instead. Tasks are looked up for
# the types that need it: for the key NULL there is nothing to look for. They are joined by their key and nothing else,
# or the planner would take the index of queued tasks for it, and go through all of them for each event.
UNPUBLISHED = """
SELECT candidates, position, task_id, version, type, event_kind, document, must_stop,
    run, attempt, dispatch, attempt_limit, first_attempt, crashes, timeout_seconds, title, queue, priority, labels,
    payload, checkpoint, traceparent
FROM (
    SELECT *,
        sum(
            octet_length(document) + coalesce(octet_length(payload::text) + octet_length(checkpoint::text), 0)
        ) OVER (ORDER BY position) AS batch_bytes,
        count(*) OVER () AS candidates
    FROM (
        SELECT logged.position, logged.task_id, logged.version, logged.type, logged.kind AS event_kind, logged.document,
            CASE
                WHEN logged.type = 'cancel_requested' THEN
                    tasks.is_run_active IS true AND tasks.cancel_requested_at IS NOT NULL
                ELSE logged.type IN ('cancelled', 'deleted', 'failed') AND tasks.is_run_active IS NOT true
            END AS must_stop,
            tasks.run, tasks.attempt, tasks.dispatch,
            -- As `attempt_limit` of `domain.retries` has it.
            greatest(
                CASE WHEN tasks.max_attempts IS NULL AND tasks.first_attempt > 0
                    THEN coalesce(tasks.first_attempt - 1 + kinds.max_attempts, tasks.attempt_limit)
                    ELSE tasks.attempt_limit END,
                tasks.attempt
            ) AS attempt_limit,
            CASE WHEN tasks.max_attempts IS NULL AND kinds.max_attempts IS NULL
                THEN tasks.first_attempt ELSE 0 END AS first_attempt,
            tasks.crashes, coalesce(tasks.timeout_seconds, kinds.timeout_seconds) AS timeout_seconds,
            tasks.title, tasks.queue, tasks.priority, tasks.labels,
            CASE WHEN tasks.status = 'queued' AND tasks.dispatch = logged.dispatch THEN tasks.payload END AS payload,
            tasks.checkpoint, tasks.traceparent
        FROM (SELECT * FROM task_events WHERE position > $1 ORDER BY position LIMIT $2) AS logged
        LEFT JOIN tasks ON tasks.id = CASE
            WHEN logged.type IN ('queued', 'cancel_requested', 'cancelled', 'deleted', 'failed') THEN logged.task_id END
        LEFT JOIN kinds ON kinds.name = tasks.kind
    ) AS joined
) AS sized WHERE batch_bytes <= $3 ORDER BY position
"""

NEWEST_POSITION = "SELECT coalesce(max(position), 0) FROM task_events"

DOCUMENT = "SELECT document FROM task_events WHERE position = $1"

TIME_OF_NEXT_EVENT = """
SELECT (document::json ->> 'time')::timestamptz FROM task_events WHERE position > $1 ORDER BY position LIMIT 1
"""

# The store of the release before moves `position` alone, and publishes work with the events.
RELAY_CURSOR = """
SELECT position, greatest(work_position, position) AS work_position, stream_created, stream_sequence
FROM relay_cursor WHERE owner = $1
"""

# Where the cursor stood is compared, too: the same owner may have lost the lease and got it back in between.
SAVE_RELAY_CURSOR = """
UPDATE relay_cursor SET position = $4, work_position = $5, stream_created = $6, stream_sequence = $7
WHERE owner = $1 AND position = $2 AND greatest(work_position, position) = $3 RETURNING position
"""

# An owner is the name of the session by which it holds the lease, and is dead when that is gone. Those of stores of
# releases before are not: their leases have to run out.
ACQUIRE_RELAY = """
UPDATE relay_cursor SET owner = $1, lease_until = clock_timestamp() + make_interval(secs => $2)
WHERE owner = $1 OR owner IS NULL OR lease_until < clock_timestamp() OR (
    starts_with(owner, 'taskmill ')
    AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = owner)
)
RETURNING position
"""

RELEASE_RELAY = "UPDATE relay_cursor SET owner = NULL, lease_until = NULL WHERE owner = $1"
