"""How much was done in each minute."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_COUNTS = ("created", "completed", "failed", "cancelled")
_SPANS = ("waited", "ran")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "activity",
        sa.Column("minute", sa.TIMESTAMP(timezone=True), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTS),
        *(sa.Column(name, ARRAY(sa.BigInteger()), nullable=False) for name in _SPANS),
        sa.Column("oldest_queued_seconds", sa.Double()),
        sa.PrimaryKeyConstraint("minute", name="pk_activity"),
    )


def downgrade() -> None:
    """Drop it: nobody needs it to work."""
    op.drop_table("activity")
