"""Who does not know a kind, what each processor declares for kinds, and since when queues are idle."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and the index of what was refused, in which nothing is yet."""
    op.add_column("tasks", sa.Column("refusals", sa.Integer(), server_default="0", nullable=False))
    op.create_index(
        "ix_tasks_refused",
        "tasks",
        ["queue", "kind"],
        postgresql_where=sa.text("refusals > 0 AND status IN ('queued', 'scheduled')"),
    )
    op.add_column("queues", sa.Column("idle_since", postgresql.TIMESTAMP(timezone=True)))
    op.add_column("processors", sa.Column("kind_defaults", postgresql.JSON()))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("processors", "kind_defaults")
    op.drop_column("queues", "idle_since")
    op.drop_index("ix_tasks_refused", "tasks")
    op.drop_column("tasks", "refusals")
