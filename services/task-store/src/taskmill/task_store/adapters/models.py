"""The schema of the task store, as SQLAlchemy models.

The migrations make it, and a test finds no difference between the two. List queries are built from the models, and
fixed statements take the columns of the tables from them.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Double, ForeignKey, Identity, Index, MetaData, Text, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB, TIMESTAMP
from sqlalchemy.engine import make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Root of the models. Texts are unbounded here: the contracts bound them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: Text, float: Double, datetime: TIMESTAMP(timezone=True)}


class TaskRow(Base):
    """A task as it stands. `domain.state.TaskState` has the same columns in the same order, and says what they mean."""

    __tablename__ = "tasks"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    title: Mapped[str]
    description: Mapped[str | None]
    kind: Mapped[str]
    queue: Mapped[str]
    priority: Mapped[str]
    labels: Mapped[dict[str, str]] = mapped_column(JSONB)
    status: Mapped[str]
    is_run_active: Mapped[bool]
    version: Mapped[int]
    revision: Mapped[int]
    run: Mapped[int]
    attempt: Mapped[int]
    attempt_limit: Mapped[int] = mapped_column(server_default="0")
    dispatch: Mapped[int]
    delivery: Mapped[int]
    crashes: Mapped[int] = mapped_column(server_default="0")
    refusals: Mapped[int] = mapped_column(server_default="0")
    line_count: Mapped[int] = mapped_column(BigInteger, server_default="0")
    line_number: Mapped[int] = mapped_column(BigInteger, server_default="0")
    checkpoint_number: Mapped[int] = mapped_column(server_default="0")
    submission_number: Mapped[int] = mapped_column(server_default="0")
    max_attempts: Mapped[int | None]
    backoff: Mapped[Any | None] = mapped_column(JSON)
    timeout_seconds: Mapped[float | None]
    run_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    processor_id: Mapped[str | None]
    cancel_requested_at: Mapped[datetime | None]
    progress: Mapped[Any | None] = mapped_column(JSON)
    error: Mapped[Any | None] = mapped_column(JSON)
    traceparent: Mapped[str | None]
    first_attempt: Mapped[int] = mapped_column(server_default="0")
    hold: Mapped[str | None]
    concurrency_key: Mapped[str | None]
    unique_key: Mapped[str | None]
    group_id: Mapped[UUID | None]
    schedule_id: Mapped[UUID | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    queued_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    # `json` keeps the text as it came; `jsonb` would rewrite it.
    payload: Mapped[Any] = mapped_column(JSON)
    result: Mapped[Any] = mapped_column(JSON)
    checkpoint: Mapped[Any] = mapped_column(JSON, server_default=text("'null'::json"))

    __table_args__ = (
        Index(None, "created_at", "id"),
        Index(None, "status", "created_at", "id"),
        Index(None, "run_at", postgresql_where=text("run_at IS NOT NULL")),
        Index(None, "queued_at", "id", postgresql_where=text("status = 'queued'")),
        Index("ix_tasks_queue", "queue", "queued_at", postgresql_where=text("status = 'queued'")),
        Index(None, "group_id", "status", postgresql_where=text("group_id IS NOT NULL")),
        # Nearly always empty: what waits for a processor that knows its kind.
        Index(
            "ix_tasks_refused",
            "queue",
            "kind",
            postgresql_where=text("refusals > 0 AND status IN ('queued', 'scheduled')"),
        ),
        # Empty but for tasks that wait for their turn, and for those with a key.
        Index(
            "ix_tasks_turns",
            "queue",
            "priority",
            "kind",
            text("coalesce(concurrency_key, '')"),
            "id",
            postgresql_where=text("hold = 'turn'"),
        ),
        Index(
            "ix_tasks_keys",
            "concurrency_key",
            "status",
            "created_at",
            "id",
            postgresql_where=text("concurrency_key IS NOT NULL"),
        ),
        # Only tasks of schedules are in these.
        Index(None, "schedule_id", "created_at", "id", postgresql_where=text("schedule_id IS NOT NULL")),
        Index(
            "ix_tasks_schedule_running",
            "schedule_id",
            postgresql_where=text("schedule_id IS NOT NULL AND is_run_active"),
        ),
        Index(None, "unique_key", "created_at", "id", postgresql_where=text("unique_key IS NOT NULL")),
        # None with `lease_until`: a heartbeat that moves it would then touch every other index, too. Tasks in progress
        # are few, and found by their status.
        # A query for labels has to say the same: see `task_lists`.
        Index("ix_tasks_labelled", "labels", postgresql_using="gin", postgresql_where=text("labels <> '{}'::jsonb")),
        Index("ix_tasks_title_trigrams", "title", postgresql_using="gin", postgresql_ops={"title": "gin_trgm_ops"}),
        # A short task's row is rewritten two or three times: room on its page for that.
        {"postgresql_with": {"fillfactor": 70}},
    )


class UniqueKeyRow(Base):
    """A unique key and the task that holds it. `domain.unique_keys.KeyHold` says what its columns mean."""

    __tablename__ = "unique_keys"

    key: Mapped[str] = mapped_column(primary_key=True)
    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    is_debounced: Mapped[bool]
    expires_at: Mapped[datetime | None]

    __table_args__ = (
        # A task holds one key at most.
        UniqueConstraint("task_id"),
        Index(None, "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
    )


class AttemptRow(Base):
    """An attempt that has ended; the one that is open is in its task's row (ADR 44).

    It goes with its task, which the statement that deletes that sees to: no foreign key (ADR 47).
    """

    __tablename__ = "task_attempts"

    task_id: Mapped[UUID] = mapped_column(primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[int]
    processor_id: Mapped[str | None]
    delivery: Mapped[int]
    queued_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    error: Mapped[Any | None] = mapped_column(JSON)
    traceback: Mapped[str | None]


class LineRow(Base):
    """A line that a handler wrote. It goes with its task; the events that told it stay."""

    __tablename__ = "task_lines"

    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    attempt: Mapped[int]
    at: Mapped[datetime]
    level: Mapped[str]
    text: Mapped[str]


class EventRow(Base):
    """One event: the history of its task, and what the relay has to publish.

    `position` orders the log as it was committed. `document` is the CloudEvents document, byte for byte as published.
    No foreign key: the history outlives its task.

    The table has a partition for each month of `recorded_at`, and each partition has the keys `position` and
    `(task_id, version)` for itself (ADR 24).
    """

    __tablename__ = "task_events"

    position: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    task_id: Mapped[UUID]
    version: Mapped[int]
    type: Mapped[str]
    kind: Mapped[str]
    # On `queued` events: the work item that the event asks for.
    dispatch: Mapped[int | None]
    document: Mapped[str]
    # By the clock of PostgreSQL, under the one lock: it rises with the position.
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))

    __table_args__ = ({"postgresql_partition_by": "RANGE (recorded_at)"},)


class RemovedEvents(Base):
    """The one row that says up to where in the log events were removed, and of what time they were."""

    __tablename__ = "removed_events"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    # Everything up to here may be gone, and something was there; 0: nothing was removed.
    position: Mapped[int] = mapped_column(BigInteger)
    recorded_before: Mapped[datetime | None]


class LogEpochRow(Base):
    """An epoch of the log but the first: it begins when the database was set back. `domain.log_epoch` says more."""

    __tablename__ = "log_epochs"

    # Its events have positions behind this one; those from `after` up to it were never given out, or are lost.
    begin: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    # The newest position of what was restored.
    after: Mapped[int] = mapped_column(BigInteger)
    begun_at: Mapped[datetime]


class RelayCursor(Base):
    """The one row that says who publishes the log, up to where it is published, and where in TASK_EVENTS that was."""

    __tablename__ = "relay_cursor"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(BigInteger)
    owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    # Up to where the work that the log asks for is published: further than the events, while those are published again.
    work_position: Mapped[int] = mapped_column(BigInteger, server_default="0")
    # By these the relay notices that TASK_EVENTS was lost, or made anew.
    stream_created: Mapped[str | None]
    stream_sequence: Mapped[int | None] = mapped_column(BigInteger)


class QueueRow(Base):
    """A queue that exists. Queues are only ever added, up to the operator's limit."""

    __tablename__ = "queues"

    name: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    # How many of its tasks are queued or scheduled.
    waiting: Mapped[int] = mapped_column(BigInteger, server_default="0")
    # How many are queued at each priority, and in progress, and how many runs have ended.
    queued_critical: Mapped[int] = mapped_column(BigInteger, server_default="0")
    queued_high: Mapped[int] = mapped_column(BigInteger, server_default="0")
    queued_medium: Mapped[int] = mapped_column(BigInteger, server_default="0")
    queued_low: Mapped[int] = mapped_column(BigInteger, server_default="0")
    in_progress: Mapped[int] = mapped_column(BigInteger, server_default="0")
    finished: Mapped[int] = mapped_column(BigInteger, server_default="0")
    # Since when none of its tasks is to begin; NULL: they are.
    paused_at: Mapped[datetime | None]
    # Since when the store that leads has found nothing in it; NULL: a task of it has moved since.
    idle_since: Mapped[datetime | None]


class KindRow(Base):
    """A kind whose handler declares what holds for tasks that do not say otherwise."""

    __tablename__ = "kinds"

    name: Mapped[str] = mapped_column(primary_key=True)
    max_attempts: Mapped[int | None]
    backoff: Mapped[Any | None] = mapped_column(JSON)
    timeout_seconds: Mapped[float | None]
    queue: Mapped[str | None]


class ProcessorRow(Base):
    """A processor as it said hello last."""

    __tablename__ = "processors"

    id: Mapped[str] = mapped_column(primary_key=True)
    queues: Mapped[list[str]] = mapped_column(ARRAY(Text))
    kinds: Mapped[list[str]] = mapped_column(ARRAY(Text))
    slots: Mapped[int]
    software_version: Mapped[str]
    seen_at: Mapped[datetime]
    running: Mapped[int] = mapped_column(server_default="0")
    started_at: Mapped[datetime | None]
    is_draining: Mapped[bool] = mapped_column(server_default=text("false"))
    # An object of schemas by kind. NULL: none were told, or not under this digest.
    payload_schemas: Mapped[Any | None] = mapped_column(JSON)
    payload_schemas_digest: Mapped[str | None]
    # What it declares for kinds, by kind. NULL: nothing.
    kind_defaults: Mapped[Any | None] = mapped_column(JSON)


class IdempotencyKeyRow(Base):
    """What a request under an idempotency key was answered, so that it is answered so again.

    `scope` is the command, with the id of the task that it speaks of. `answer` is the reply, as text.
    """

    __tablename__ = "idempotency_keys"

    scope: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    answer: Mapped[str]
    created_at: Mapped[datetime]
    # Whether it tells of a task that was there before, and holds the unique key of the one that was wanted.
    is_existing: Mapped[bool] = mapped_column(server_default=text("false"))

    __table_args__ = (Index(None, "created_at"),)


class BulkOperationRow(Base):
    """A bulk operation as it stands. `domain.bulk_operations.BulkOperationState` says what its columns mean."""

    __tablename__ = "bulk_operations"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    action: Mapped[str]
    filter: Mapped[Any | None] = mapped_column(JSON)
    ids: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid))
    dry_run: Mapped[bool]
    force: Mapped[bool]
    status: Mapped[str]
    waiting_for: Mapped[str | None]
    position: Mapped[str | None]
    matched: Mapped[int] = mapped_column(BigInteger)
    done: Mapped[int] = mapped_column(BigInteger)
    refusals: Mapped[Any] = mapped_column(JSON)
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        Index(None, "status", postgresql_where=text("status = 'running'")),
        Index(None, "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
    )


class DependencyRow(Base):
    """What a task, or a group, still waits for. `domain.state.DependencyState` says what its columns mean.

    No foreign keys: each deletion of a task would look for rows here. Those of tasks that are gone go when they are
    decided.
    """

    __tablename__ = "task_dependencies"

    dependent_id: Mapped[UUID] = mapped_column(primary_key=True)
    after_id: Mapped[UUID] = mapped_column(primary_key=True)
    after_version: Mapped[int]
    on_failure: Mapped[str]
    run_at: Mapped[datetime | None]

    __table_args__ = (Index(None, "after_id"),)


class GroupRow(Base):
    """A group as it stands. `domain.groups.GroupState` says what its columns mean."""

    __tablename__ = "task_groups"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    title: Mapped[str]
    status: Mapped[str]
    total: Mapped[int]
    on_completed_id: Mapped[UUID | None]
    on_failed_id: Mapped[UUID | None]
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]

    __table_args__ = (Index(None, "settled_at", postgresql_where=text("settled_at IS NOT NULL")),)


class WebhookRow(Base):
    """A webhook as it stands. `domain.webhooks.WebhookState` says what its columns mean."""

    __tablename__ = "webhooks"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    url: Mapped[str]
    description: Mapped[str | None]
    types: Mapped[list[str]] = mapped_column(ARRAY(Text))
    kind: Mapped[str | None]
    queue: Mapped[str | None]
    labels: Mapped[list[str]] = mapped_column(ARRAY(Text))
    is_enabled: Mapped[bool]
    switched_off_reason: Mapped[str | None]
    secrets: Mapped[list[str]] = mapped_column(ARRAY(Text))
    since_position: Mapped[int] = mapped_column(BigInteger)
    revision: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class ApiKeyRow(Base):
    """An API key as it stands. `domain.api_keys.ApiKeyState` says what its columns mean."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    name: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class ActivityRow(Base):
    """What was done in a minute. `domain.activity.Deeds` says what its columns mean."""

    __tablename__ = "activity"

    minute: Mapped[datetime] = mapped_column(primary_key=True)
    created: Mapped[int] = mapped_column(BigInteger)
    completed: Mapped[int] = mapped_column(BigInteger)
    failed: Mapped[int] = mapped_column(BigInteger)
    cancelled: Mapped[int] = mapped_column(BigInteger)
    waited: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    ran: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    oldest_queued_seconds: Mapped[float | None]


class LimitRow(Base):
    """A limit as it stands. `domain.turns.LimitState` says what its columns mean."""

    __tablename__ = "limits"

    name: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str | None]
    concurrency_key: Mapped[str | None]
    max_in_progress: Mapped[int | None]
    rate_tasks: Mapped[int | None]
    rate_seconds: Mapped[float | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class ShareRow(Base):
    """How much of its queues a key gets, if that is not 1."""

    __tablename__ = "shares"

    concurrency_key: Mapped[str] = mapped_column(primary_key=True)
    weight: Mapped[float]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class TurnTermRow(Base):
    """The one row that says in which term turns are given: a store that comes to lead begins a new one before that."""

    __tablename__ = "turn_term"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger)


class TurnStartRow(Base):
    """How many turns a limit's rate let through in a slice of its period. `domain.turns.TurnStart` has the same."""

    __tablename__ = "turn_starts"

    limit_name: Mapped[str] = mapped_column(primary_key=True)
    concurrency_key: Mapped[str] = mapped_column(primary_key=True)
    slice: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    last_at: Mapped[datetime]
    tasks: Mapped[int]


class ScheduleRow(Base):
    """A schedule as it stands. `domain.schedules.ScheduleState` says what its columns mean."""

    __tablename__ = "schedules"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    template: Mapped[Any] = mapped_column(JSON)
    cron: Mapped[str | None]
    time_zone: Mapped[str]
    interval_seconds: Mapped[int | None]
    overlap: Mapped[str]
    catch_up_seconds: Mapped[int]
    is_paused: Mapped[bool]
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    next_fire_at: Mapped[datetime | None]
    last_fire_at: Mapped[datetime | None]
    missed_count: Mapped[int] = mapped_column(BigInteger)
    missed_since: Mapped[datetime | None]
    missed_until: Mapped[datetime | None]
    revision: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = (Index(None, "next_fire_at", postgresql_where=text("next_fire_at IS NOT NULL")),)


class ScheduleFireRow(Base):
    """What became of a time of a schedule. `domain.schedules.FireState` says what its columns mean.

    No foreign keys: one that went with its schedule could be many rows, under the lock of the event log.
    """

    __tablename__ = "schedule_fires"

    task_id: Mapped[UUID] = mapped_column(primary_key=True)
    schedule_id: Mapped[UUID]
    fire_at: Mapped[datetime]
    outcome: Mapped[str]
    origin: Mapped[str]
    decided_at: Mapped[datetime]

    __table_args__ = (
        Index(
            "uq_schedule_fires_schedule_id_fire_at",
            "schedule_id",
            "fire_at",
            unique=True,
            postgresql_where=text("origin <> 'manual'"),
        ),
        Index(None, "schedule_id", "fire_at", "task_id"),
        Index(None, "decided_at"),
    )


class WebhookCursorRow(Base):
    """Up to where in the log every event has its deliveries: one row."""

    __tablename__ = "webhook_cursor"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(BigInteger)


class ReplayRow(Base):
    """A replay as it stands. `domain.webhooks.ReplayState` says what its columns mean."""

    __tablename__ = "replays"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    webhook_id: Mapped[UUID | None] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    name: Mapped[str | None]
    types: Mapped[list[str]] = mapped_column(ARRAY(Text))
    kind: Mapped[str | None]
    queue: Mapped[str | None]
    labels: Mapped[list[str]] = mapped_column(ARRAY(Text))
    after: Mapped[int] = mapped_column(BigInteger)
    until: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str]
    position: Mapped[int] = mapped_column(BigInteger)
    told: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        Index(None, "webhook_id"),
        Index(None, "status", postgresql_where=text("status = 'running'")),
        Index(None, "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
    )


def columns(row: type[Base]) -> dict[str, str]:
    """The columns of a model in order, with their types as fixed statements name them."""
    dialect = make_url("postgresql+asyncpg://").get_dialect()()
    types = {column.key: column.type.compile(dialect).lower() for column in row.__table__.columns}
    return {name: kind.replace("timestamp with time zone", "timestamptz") for name, kind in types.items()}


def parameters(row: type[Base], *, first: int = 1) -> dict[str, str]:
    """The parameters of a statement that writes one row of a model, from `$first` on, by the name of the column."""
    return {name: f"${number}::{kind}" for number, (name, kind) in enumerate(columns(row).items(), start=first)}


def zeros(row: type[Base]) -> dict[str, str]:
    """The columns of a model that are numbers or booleans and never NULL, with 0 or false in SQL."""
    of_type = {int: "0", bool: "false"}
    found = {
        column.key: of_type.get(column.type.python_type) for column in row.__table__.columns if not column.nullable
    }
    return {name: zero for name, zero in found.items() if zero is not None}
