"""Limits, shares, and turns: what the store that leads gives."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_INSTANT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Add their tables, and the indexes by which turns are given. No task has a key yet: they are empty."""
    op.create_table(
        "limits",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text()),
        sa.Column("concurrency_key", sa.Text()),
        sa.Column("max_in_progress", sa.Integer()),
        sa.Column("rate_tasks", sa.Integer()),
        sa.Column("rate_seconds", sa.Double()),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_limits"),
    )
    op.create_table(
        "shares",
        sa.Column("concurrency_key", sa.Text(), nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("concurrency_key", name="pk_shares"),
    )
    op.create_table(
        "turn_term",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_turn_term"),
    )
    op.execute("INSERT INTO turn_term (id, number) VALUES (1, 0)")
    op.create_table(
        "turn_starts",
        sa.Column("limit_name", sa.Text(), nullable=False),
        sa.Column("concurrency_key", sa.Text(), nullable=False),
        sa.Column("slice", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_at", _INSTANT, nullable=False),
        sa.Column("tasks", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("limit_name", "concurrency_key", "slice", name="pk_turn_starts"),
    )
    op.create_index(
        "ix_tasks_turns",
        "tasks",
        ["queue", "priority", "kind", sa.text("coalesce(concurrency_key, '')"), "id"],
        postgresql_where=sa.text("hold = 'turn'"),
    )
    op.create_index(
        "ix_tasks_keys",
        "tasks",
        ["concurrency_key", "status", "created_at", "id"],
        postgresql_where=sa.text("concurrency_key IS NOT NULL"),
    )


def downgrade() -> None:
    """Drop them: what waits for its turn waits for ever, and is to be cancelled first."""
    op.drop_index("ix_tasks_keys", table_name="tasks")
    op.drop_index("ix_tasks_turns", table_name="tasks")
    for table in ("turn_starts", "turn_term", "shares", "limits"):
        op.drop_table(table)
