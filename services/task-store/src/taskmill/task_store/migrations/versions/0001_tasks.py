"""Tasks, their attempts and events, the relay's cursor, and the queues."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_INSTANT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Make the first schema."""
    # A trusted extension since PostgreSQL 13: the owner of a database may create it.
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    _create_tasks()
    _create_task_attempts()
    _create_task_events()
    _create_relay_cursor()
    _create_queues()


def downgrade() -> None:
    """Drop everything; the extension stays, for others may use it."""
    for table in ("queues", "relay_cursor", "task_events", "task_attempts", "tasks"):
        op.drop_table(table)


def _create_tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("labels", postgresql.JSONB(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("is_run_active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("dispatch", sa.Integer(), nullable=False),
        sa.Column("delivery", sa.Integer(), nullable=False),
        sa.Column("run_at", _INSTANT),
        sa.Column("lease_until", _INSTANT),
        sa.Column("processor_id", sa.Text()),
        sa.Column("progress", postgresql.JSON()),
        sa.Column("error", postgresql.JSON()),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.Column("queued_at", _INSTANT),
        sa.Column("started_at", _INSTANT),
        sa.Column("finished_at", _INSTANT),
        sa.Column("payload", postgresql.JSON(), nullable=False),
        sa.Column("result", postgresql.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index("ix_tasks_created_at_id", "tasks", ["created_at", "id"])
    op.create_index("ix_tasks_status_created_at_id", "tasks", ["status", "created_at", "id"])
    op.create_index("ix_tasks_run_at", "tasks", ["run_at"], postgresql_where=sa.text("run_at IS NOT NULL"))
    op.create_index("ix_tasks_labels", "tasks", ["labels"], postgresql_using="gin")
    op.create_index(
        "ix_tasks_title_trigrams",
        "tasks",
        ["title"],
        postgresql_using="gin",
        postgresql_ops={"title": "gin_trgm_ops"},
    )


def _create_task_attempts() -> None:
    op.create_table(
        "task_attempts",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("processor_id", sa.Text()),
        sa.Column("delivery", sa.Integer(), nullable=False),
        sa.Column("queued_at", _INSTANT, nullable=False),
        sa.Column("started_at", _INSTANT),
        sa.Column("finished_at", _INSTANT),
        sa.Column("outcome", sa.Text()),
        sa.Column("error", postgresql.JSON()),
        sa.PrimaryKeyConstraint("task_id", "attempt", name="pk_task_attempts"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], ondelete="CASCADE", name="fk_task_attempts_task_id"),
    )


def _create_task_events() -> None:
    op.create_table(
        "task_events",
        sa.Column("position", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("dispatch", sa.Integer()),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_task_events"),
        sa.UniqueConstraint("task_id", "version", name="uq_task_events_task_id_version"),
    )


def _create_relay_cursor() -> None:
    cursor = op.create_table(
        "relay_cursor",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text()),
        sa.Column("lease_until", _INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_relay_cursor"),
    )
    op.bulk_insert(cursor, [{"id": 1, "position": 0}])


def _create_queues() -> None:
    op.create_table(
        "queues",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_queues"),
    )
