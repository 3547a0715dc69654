"""A log whose begin is gone."""

from datetime import UTC, datetime

from taskmill.task_store.adapters.database import DedicatedConnection
from taskmill.task_store.adapters.log_partitions import LogPartitions
from taskmill.task_store.domain.months import month_of
from tests.support.eventually import holds


async def remove_all_events(database_url: str) -> None:
    """Remove what is in the log, once it is published."""
    connection = DedicatedConnection(database_url, "partitions")
    partitions = LogPartitions(connection)

    async def check_removed() -> None:
        assert await partitions.drop(month_of(datetime.now(UTC))) is not None

    try:
        await holds(check_removed)
    finally:
        await connection.close()
