"""Bulk operations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_INSTANT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Add their table."""
    op.create_table(
        "bulk_operations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("filter", postgresql.JSON()),
        sa.Column("ids", postgresql.ARRAY(sa.Uuid())),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("force", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("waiting_for", sa.Text()),
        sa.Column("position", sa.Text()),
        sa.Column("matched", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("refusals", postgresql.JSON(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("finished_at", _INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_bulk_operations"),
    )
    op.create_index(
        "ix_bulk_operations_status",
        "bulk_operations",
        ["status"],
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_index(
        "ix_bulk_operations_finished_at",
        "bulk_operations",
        ["finished_at"],
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )


def downgrade() -> None:
    """Drop it: operations that are running end where they are."""
    op.drop_table("bulk_operations")
