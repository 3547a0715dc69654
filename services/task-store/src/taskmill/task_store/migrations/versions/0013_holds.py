"""What a task is held by before it is queued, what it belongs to, and where its run began."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_COLUMNS = (
    ("hold", sa.Text()),
    ("concurrency_key", sa.Text()),
    ("unique_key", sa.Text()),
    ("group_id", sa.Uuid()),
    ("schedule_id", sa.Uuid()),
)


def upgrade() -> None:
    """Add the columns: they are empty, so no row is written."""
    op.add_column("tasks", sa.Column("first_attempt", sa.Integer(), server_default="0", nullable=False))
    for name, kind in _COLUMNS:
        op.add_column("tasks", sa.Column(name, kind))


def downgrade() -> None:
    """Drop them: what is held has neither a time nor a turn any more, and is to be cancelled first."""
    for name, _ in reversed(_COLUMNS):
        op.drop_column("tasks", name)
    op.drop_column("tasks", "first_attempt")
