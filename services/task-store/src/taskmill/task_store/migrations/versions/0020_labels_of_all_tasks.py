"""The index of labels that had all tasks in it goes."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

phase = "post"


def upgrade() -> None:
    """Drop it: each writing of a task was entered there, though most tasks have no label."""
    op.drop_index("ix_tasks_labels", "tasks")


def downgrade() -> None:
    """Make it again. Writers wait: some seconds for a million tasks."""
    op.create_index("ix_tasks_labels", "tasks", ["labels"], postgresql_using="gin")
