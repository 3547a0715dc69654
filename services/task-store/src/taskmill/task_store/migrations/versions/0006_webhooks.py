"""Webhooks, how far their deliveries are, and replays."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_INSTANT = postgresql.TIMESTAMP(timezone=True)
_TEXTS = postgresql.ARRAY(sa.Text())


def upgrade() -> None:
    """Add their tables."""
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("types", _TEXTS, nullable=False),
        sa.Column("kind", sa.Text()),
        sa.Column("queue", sa.Text()),
        sa.Column("labels", _TEXTS, nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("switched_off_reason", sa.Text()),
        sa.Column("secrets", _TEXTS, nullable=False),
        sa.Column("since_position", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
    )
    cursor = op.create_table(
        "webhook_cursor",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_cursor"),
    )
    op.bulk_insert(cursor, [{"id": 1, "position": 0}])
    op.create_table(
        "replays",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("webhook_id", sa.Uuid()),
        sa.Column("name", sa.Text()),
        sa.Column("types", _TEXTS, nullable=False),
        sa.Column("kind", sa.Text()),
        sa.Column("queue", sa.Text()),
        sa.Column("labels", _TEXTS, nullable=False),
        sa.Column("after", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.BigInteger(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("finished_at", _INSTANT),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name="fk_replays_webhook_id_webhooks", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_replays"),
    )
    op.create_index("ix_replays_webhook_id", "replays", ["webhook_id"])
    op.create_index("ix_replays_status", "replays", ["status"], postgresql_where=sa.text("status = 'running'"))
    op.create_index(
        "ix_replays_finished_at", "replays", ["finished_at"], postgresql_where=sa.text("finished_at IS NOT NULL")
    )


def downgrade() -> None:
    """Drop them: deliveries that are queued stay, and fail for want of a webhook."""
    op.drop_table("replays")
    op.drop_table("webhook_cursor")
    op.drop_table("webhooks")
