"""The log in partitions by month, and up to where it was removed."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_INSTANT = postgresql.TIMESTAMP(timezone=True)
_COLUMNS = "position, task_id, version, type, kind, dispatch, document"
_KEYS = {"pk_task_events": "pk", "uq_task_events_task_id_version": "uq"}


def upgrade() -> None:
    """Make the table that there is the first partition: of this month, and of all before.

    No row is written anew. PostgreSQL reads the table once, to see that its rows belong there; meanwhile nobody reads
    or writes the log. A store of the release before goes on with the new table: it names neither of the columns that
    the database fills in by itself.
    """
    month = _month()
    first = f"task_events_{month:%Y_%m}"
    op.execute("LOCK TABLE task_events IN ACCESS EXCLUSIVE MODE")
    # Of rows that are there already this is not when they were recorded, but no earlier: none is removed too soon.
    op.execute("ALTER TABLE task_events ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT now()")
    op.execute("ALTER TABLE task_events ALTER COLUMN recorded_at DROP DEFAULT")
    last_position = _last_position()
    op.execute("ALTER TABLE task_events ALTER COLUMN position DROP IDENTITY")
    op.rename_table("task_events", first)
    for constraint, short in _KEYS.items():
        op.execute(f"ALTER TABLE {first} RENAME CONSTRAINT {constraint} TO {short}_{first}")
    _create_partitioned_log()
    op.execute("CREATE TABLE task_events_default PARTITION OF task_events DEFAULT")
    op.execute(
        "ALTER TABLE task_events_default ADD CONSTRAINT pk_task_events_default PRIMARY KEY (position), "
        "ADD CONSTRAINT uq_task_events_default UNIQUE (task_id, version)"
    )
    op.execute(
        f"ALTER TABLE task_events ATTACH PARTITION {first} "
        f"FOR VALUES FROM (MINVALUE) TO ('{_following(month).isoformat()}')"
    )
    _continue_positions(last_position)
    _create_removed_events()


def downgrade() -> None:
    """Copy the events that there are into one table."""
    op.execute("LOCK TABLE task_events IN ACCESS EXCLUSIVE MODE")
    last_position = _last_position()
    op.rename_table("task_events", "task_events_by_month")
    op.execute("ALTER SEQUENCE task_events_position_seq RENAME TO task_events_by_month_position_seq")
    op.create_table(
        "task_events",
        sa.Column("position", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        *_event_columns(),
        sa.PrimaryKeyConstraint("position", name="pk_task_events"),
        sa.UniqueConstraint("task_id", "version", name="uq_task_events_task_id_version"),
    )
    op.execute(
        f"""
        INSERT INTO task_events ({_COLUMNS}) OVERRIDING SYSTEM VALUE
        SELECT {_COLUMNS} FROM task_events_by_month ORDER BY position
        """  # noqa: S608  (names from above)
    )
    op.drop_table("task_events_by_month")
    _continue_positions(last_position)
    op.drop_table("removed_events")


def _create_partitioned_log() -> None:
    # The keys are those of the partitions: of the whole table they would have to hold the time, too.
    op.create_table(
        "task_events",
        sa.Column("position", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        *_event_columns(),
        # Under the one lock, so that it rises with the position.
        sa.Column("recorded_at", _INSTANT, server_default=sa.text("clock_timestamp()"), nullable=False),
        postgresql_partition_by="RANGE (recorded_at)",
    )


def _event_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("dispatch", sa.Integer()),
        sa.Column("document", sa.Text(), nullable=False),
    ]


def _create_removed_events() -> None:
    removed = op.create_table(
        "removed_events",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("recorded_before", _INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_removed_events"),
    )
    op.bulk_insert(removed, [{"id": 1, "position": 0, "recorded_before": None}])


def _month() -> datetime:
    """The first instant of this month by the database's clock, in UTC."""
    now: datetime = op.get_bind().execute(sa.text("SELECT clock_timestamp()")).scalar_one()
    return now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _following(month: datetime) -> datetime:
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def _last_position() -> int:
    """The highest position that was ever given out; 0: none was."""
    found: int = (
        op.get_bind()
        .execute(sa.text("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM task_events_position_seq"))
        .scalar_one()
    )
    return found


def _continue_positions(last_position: int) -> None:
    if last_position:
        op.execute(f"SELECT setval('task_events_position_seq', {last_position})")
