"""What queues count beside how many tasks wait in them, that they may be paused, and more of processors."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_INSTANT = postgresql.TIMESTAMP(timezone=True)
_COUNTERS = ("queued_critical", "queued_high", "queued_medium", "queued_low", "in_progress", "finished")


def upgrade() -> None:
    """Add the columns, and count what is there."""
    for name in _COUNTERS:
        op.add_column("queues", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("queues", sa.Column("paused_at", _INSTANT))
    op.add_column("processors", sa.Column("running", sa.Integer(), server_default="0", nullable=False))
    op.add_column("processors", sa.Column("started_at", _INSTANT))
    op.add_column("processors", sa.Column("is_draining", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index("ix_tasks_queue", "tasks", ["queue", "queued_at"], postgresql_where=sa.text("status = 'queued'"))
    op.execute(
        "UPDATE queues SET queued_critical = counted.critical, queued_high = counted.high, "
        "queued_medium = counted.medium, queued_low = counted.low, in_progress = counted.in_progress FROM ("
        "SELECT queue, count(*) FILTER (WHERE status = 'queued' AND priority = 'critical') AS critical, "
        "count(*) FILTER (WHERE status = 'queued' AND priority = 'high') AS high, "
        "count(*) FILTER (WHERE status = 'queued' AND priority = 'medium') AS medium, "
        "count(*) FILTER (WHERE status = 'queued' AND priority = 'low') AS low, "
        "count(*) FILTER (WHERE status = 'in_progress' AND is_run_active) AS in_progress "
        "FROM tasks WHERE status IN ('queued', 'in_progress') GROUP BY queue"
        ") AS counted WHERE counted.queue = queues.name"
    )


def downgrade() -> None:
    """Drop them: queues that are paused in NATS stay so until somebody resumes their consumers."""
    op.drop_index("ix_tasks_queue", "tasks")
    for name in ("is_draining", "started_at", "running"):
        op.drop_column("processors", name)
    for name in ("paused_at", *reversed(_COUNTERS)):
        op.drop_column("queues", name)
