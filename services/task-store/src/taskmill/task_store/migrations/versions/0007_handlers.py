"""Checkpoints, how many tasks handlers submitted, queues of kinds, and the schemas of their payloads."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what tasks and kinds say of them, with defaults for a store of the release before."""
    op.add_column("tasks", sa.Column("checkpoint_number", sa.Integer(), server_default="0", nullable=False))
    op.add_column("tasks", sa.Column("submission_number", sa.Integer(), server_default="0", nullable=False))
    op.add_column(
        "tasks",
        sa.Column("checkpoint", postgresql.JSON(), server_default=sa.text("'null'::json"), nullable=False),
    )
    op.add_column("kinds", sa.Column("queue", sa.Text()))
    op.add_column("processors", sa.Column("payload_schemas", postgresql.JSON()))
    op.add_column("processors", sa.Column("payload_schemas_digest", sa.Text()))


def downgrade() -> None:
    """Drop them: handlers begin anew, and the tasks that they submitted stay."""
    op.drop_column("processors", "payload_schemas_digest")
    op.drop_column("processors", "payload_schemas")
    op.drop_column("kinds", "queue")
    op.drop_column("tasks", "checkpoint")
    op.drop_column("tasks", "submission_number")
    op.drop_column("tasks", "checkpoint_number")
