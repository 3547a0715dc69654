"""How connections to PostgreSQL are set."""

from uuid import uuid4

from taskmill.task_store.adapters.database import DedicatedConnection
from taskmill.task_store.adapters.statements import load_statement

PLANS = "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1"


async def test_what_a_writer_reads_by_few_keys_is_planned_once(database_url: str) -> None:
    """PostgreSQL would otherwise plan it anew each time, because it guesses that a list of keys has ten."""
    statement = load_statement(0)
    connection = DedicatedConnection(database_url, "writer", is_planned_once=True)
    async with connection.use() as used:
        for _ in range(7):
            await used.fetch(statement, [uuid4()], [])
        plans = await used.fetchrow(PLANS, statement)
    await connection.close()
    assert tuple(plans or ()) == (7, 0)
