"""What handlers leave for later: checkpoints, and how many tasks they submitted."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what tasks say of them, with defaults for a store of the release before."""
    op.add_column("tasks", sa.Column("checkpoint_number", sa.Integer(), server_default="0", nullable=False))
    op.add_column("tasks", sa.Column("submission_number", sa.Integer(), server_default="0", nullable=False))
    op.add_column(
        "tasks",
        sa.Column("checkpoint", postgresql.JSON(), server_default=sa.text("'null'::json"), nullable=False),
    )


def downgrade() -> None:
    """Drop them: handlers begin anew, and the tasks that they submitted stay."""
    op.drop_column("tasks", "checkpoint")
    op.drop_column("tasks", "submission_number")
    op.drop_column("tasks", "checkpoint_number")
