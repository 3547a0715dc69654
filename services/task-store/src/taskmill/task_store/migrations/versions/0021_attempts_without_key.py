"""Attempts refer to their tasks by no foreign key any more (ADR 47)."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

# Stores before this one leave it to the key to delete attempts.
phase = "post"


def upgrade() -> None:
    """Drop it: each attempt that ended was looked up by it, and its task's row locked.

    So do rows of attempts that have not ended, which are in the way of their end (ADR 44).
    """
    # In the order in which writers lock them: else each might wait for the other.
    op.execute("LOCK TABLE tasks, task_attempts IN ACCESS EXCLUSIVE MODE")
    op.drop_constraint("fk_task_attempts_task_id", "task_attempts")
    op.execute("DELETE FROM task_attempts WHERE outcome IS NULL")


def downgrade() -> None:
    """Make it again, after what older stores have left behind. Writers wait: some seconds for a million tasks."""
    op.execute("DELETE FROM task_attempts WHERE NOT EXISTS (SELECT FROM tasks WHERE tasks.id = task_attempts.task_id)")
    op.create_foreign_key("fk_task_attempts_task_id", "task_attempts", "tasks", ["task_id"], ["id"], ondelete="CASCADE")
