"""Unique keys, and the tasks that hold them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None
phase = "pre"


def upgrade() -> None:
    """Add the table, and the index of tasks that have a key, in which nothing is yet."""
    op.create_table(
        "unique_keys",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("is_debounced", sa.Boolean(), nullable=False),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True)),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name="fk_unique_keys_task_id_tasks", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key", name="pk_unique_keys"),
        sa.UniqueConstraint("task_id", name="uq_unique_keys_task_id"),
    )
    op.create_index(
        "ix_unique_keys_expires_at", "unique_keys", ["expires_at"], postgresql_where=sa.text("expires_at IS NOT NULL")
    )
    op.create_index(
        "ix_tasks_unique_key_created_at_id",
        "tasks",
        ["unique_key", "created_at", "id"],
        postgresql_where=sa.text("unique_key IS NOT NULL"),
    )
    op.add_column("idempotency_keys", sa.Column("is_existing", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    """Drop them: tasks of the same key may then stand beside each other."""
    op.drop_column("idempotency_keys", "is_existing")
    op.drop_index("ix_tasks_unique_key_created_at_id", "tasks")
    op.drop_table("unique_keys")
