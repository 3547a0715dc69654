"""Schedules, what became of their times, and how their tasks are found."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_INSTANT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Add their tables, and indexes of tasks that only those of schedules are in."""
    op.create_table(
        "schedules",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("template", postgresql.JSON(), nullable=False),
        sa.Column("cron", sa.Text()),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("interval_seconds", sa.Integer()),
        sa.Column("overlap", sa.Text(), nullable=False),
        sa.Column("catch_up_seconds", sa.Integer(), nullable=False),
        sa.Column("is_paused", sa.Boolean(), nullable=False),
        sa.Column("starts_at", _INSTANT),
        sa.Column("ends_at", _INSTANT),
        sa.Column("next_fire_at", _INSTANT),
        sa.Column("last_fire_at", _INSTANT),
        sa.Column("missed_count", sa.BigInteger(), nullable=False),
        sa.Column("missed_since", _INSTANT),
        sa.Column("missed_until", _INSTANT),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_schedules"),
    )
    op.create_index(
        "ix_schedules_next_fire_at",
        "schedules",
        ["next_fire_at"],
        postgresql_where=sa.text("next_fire_at IS NOT NULL"),
    )
    op.create_table(
        "schedule_fires",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("schedule_id", sa.Uuid(), nullable=False),
        sa.Column("fire_at", _INSTANT, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("decided_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("task_id", name="pk_schedule_fires"),
    )
    op.create_index(
        "uq_schedule_fires_schedule_id_fire_at",
        "schedule_fires",
        ["schedule_id", "fire_at"],
        unique=True,
        postgresql_where=sa.text("origin <> 'manual'"),
    )
    op.create_index(
        "ix_schedule_fires_schedule_id_fire_at_task_id", "schedule_fires", ["schedule_id", "fire_at", "task_id"]
    )
    op.create_index("ix_schedule_fires_decided_at", "schedule_fires", ["decided_at"])
    is_scheduled = "schedule_id IS NOT NULL"
    op.create_index(
        "ix_tasks_schedule_id_created_at_id",
        "tasks",
        ["schedule_id", "created_at", "id"],
        postgresql_where=sa.text(is_scheduled),
    )
    op.create_index(
        "ix_tasks_schedule_running",
        "tasks",
        ["schedule_id"],
        postgresql_where=sa.text(f"{is_scheduled} AND is_run_active"),
    )


def downgrade() -> None:
    """Drop them: nothing is made any more; the tasks that were made stay."""
    op.drop_index("ix_tasks_schedule_running", table_name="tasks")
    op.drop_index("ix_tasks_schedule_id_created_at_id", table_name="tasks")
    op.drop_table("schedule_fires")
    op.drop_table("schedules")
