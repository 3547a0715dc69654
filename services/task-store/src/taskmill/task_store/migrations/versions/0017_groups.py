"""Groups of tasks, and what tasks and groups come after."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None
phase = "pre"

_INSTANT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Add their tables, and the index of the tasks of groups, in which nothing is yet."""
    op.create_table(
        "task_dependencies",
        sa.Column("dependent_id", sa.Uuid(), nullable=False),
        sa.Column("after_id", sa.Uuid(), nullable=False),
        sa.Column("after_version", sa.Integer(), nullable=False),
        sa.Column("on_failure", sa.Text(), nullable=False),
        sa.Column("run_at", _INSTANT),
        sa.PrimaryKeyConstraint("dependent_id", "after_id", name="pk_task_dependencies"),
    )
    op.create_index("ix_task_dependencies_after_id", "task_dependencies", ["after_id"])
    op.create_table(
        "task_groups",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("on_completed_id", sa.Uuid()),
        sa.Column("on_failed_id", sa.Uuid()),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("settled_at", _INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_task_groups"),
    )
    op.create_index(
        "ix_task_groups_settled_at",
        "task_groups",
        ["settled_at"],
        postgresql_where=sa.text("settled_at IS NOT NULL"),
    )
    op.create_index(
        "ix_tasks_group_id_status", "tasks", ["group_id", "status"], postgresql_where=sa.text("group_id IS NOT NULL")
    )


def downgrade() -> None:
    """Drop them: what waits for other tasks waits for ever, until it is cancelled."""
    op.drop_index("ix_tasks_group_id_status", "tasks")
    op.drop_table("task_groups")
    op.drop_table("task_dependencies")
