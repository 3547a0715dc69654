"""The lines that handlers write."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table of lines, and what tasks say of theirs, with a default for a store of the release before."""
    op.add_column("tasks", sa.Column("line_count", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("tasks", sa.Column("line_number", sa.BigInteger(), server_default="0", nullable=False))
    op.create_table(
        "task_lines",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name="fk_task_lines_task_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task_id", "position", name="pk_task_lines"),
    )


def downgrade() -> None:
    """Drop them; the events that told the lines stay."""
    op.drop_table("task_lines")
    op.drop_column("tasks", "line_number")
    op.drop_column("tasks", "line_count")
