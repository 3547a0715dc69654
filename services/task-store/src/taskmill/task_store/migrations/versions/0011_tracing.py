"""Of which span of a trace a task's newest step came."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column: it is empty, so no row is written."""
    op.add_column("tasks", sa.Column("traceparent", sa.Text()))


def downgrade() -> None:
    """Drop it: what is under way goes on, and is traced no further."""
    op.drop_column("tasks", "traceparent")
