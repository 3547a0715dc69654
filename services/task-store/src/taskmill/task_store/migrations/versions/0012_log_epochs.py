"""Where in the log an epoch begins: after the database was set back to an earlier state."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None
phase = "pre"


def upgrade() -> None:
    """Add the table. It is empty: the log was never set back."""
    op.create_table(
        "log_epochs",
        sa.Column("begin", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("after", sa.BigInteger(), nullable=False),
        sa.Column("begun_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("begin", name="pk_log_epochs"),
    )


def downgrade() -> None:
    """Drop it: who has a position of a log that was lost is no longer told."""
    op.drop_table("log_epochs")
