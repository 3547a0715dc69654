"""Retries, cancellation, delays, idempotency keys, bounded queues, and who serves what."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_INSTANT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Add columns and tables. Columns that must have a value have a default, for a store of the release before."""
    _extend_tasks()
    op.add_column("task_attempts", sa.Column("traceback", sa.Text()))
    op.add_column("relay_cursor", sa.Column("work_position", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("relay_cursor", sa.Column("stream_created", sa.Text()))
    op.add_column("relay_cursor", sa.Column("stream_sequence", sa.BigInteger()))
    _count_what_waits()
    _create_kinds()
    _create_processors()
    _create_idempotency_keys()


def downgrade() -> None:
    """Drop them. Tasks that wait for a retry or were cancelled keep what their columns of the first schema say."""
    for table in ("idempotency_keys", "processors", "kinds"):
        op.drop_table(table)
    op.drop_column("queues", "waiting")
    op.drop_column("relay_cursor", "stream_sequence")
    op.drop_column("relay_cursor", "stream_created")
    op.drop_column("relay_cursor", "work_position")
    op.drop_column("task_attempts", "traceback")
    op.drop_index("ix_tasks_queued_at_id", "tasks")
    for column in ("cancel_requested_at", "timeout_seconds", "backoff", "max_attempts", "crashes", "attempt_limit"):
        op.drop_column("tasks", column)


def _extend_tasks() -> None:
    op.add_column("tasks", sa.Column("attempt_limit", sa.Integer(), server_default="0", nullable=False))
    op.add_column("tasks", sa.Column("crashes", sa.Integer(), server_default="0", nullable=False))
    op.add_column("tasks", sa.Column("max_attempts", sa.Integer()))
    op.add_column("tasks", sa.Column("backoff", postgresql.JSON()))
    op.add_column("tasks", sa.Column("timeout_seconds", sa.Double()))
    op.add_column("tasks", sa.Column("cancel_requested_at", _INSTANT))
    op.create_index(
        "ix_tasks_queued_at_id", "tasks", ["queued_at", "id"], postgresql_where=sa.text("status = 'queued'")
    )
    # Until now, a run had one attempt.
    op.execute("UPDATE tasks SET attempt_limit = attempt WHERE is_run_active")


def _count_what_waits() -> None:
    op.add_column("queues", sa.Column("waiting", sa.BigInteger(), server_default="0", nullable=False))
    op.execute(
        "UPDATE queues SET waiting = counted.waiting FROM ("
        "SELECT queue, count(*) AS waiting FROM tasks WHERE status IN ('queued', 'scheduled') GROUP BY queue"
        ") AS counted WHERE queues.name = counted.queue"
    )


def _create_kinds() -> None:
    op.create_table(
        "kinds",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("max_attempts", sa.Integer()),
        sa.Column("backoff", postgresql.JSON()),
        sa.Column("timeout_seconds", sa.Double()),
        sa.PrimaryKeyConstraint("name", name="pk_kinds"),
    )


def _create_processors() -> None:
    op.create_table(
        "processors",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("queues", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("kinds", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("software_version", sa.Text(), nullable=False),
        sa.Column("seen_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_processors"),
    )


def _create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("scope", "key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
