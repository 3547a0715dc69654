"""kill -9 of PostgreSQL's first process."""

from tests.chaos.faults.fault import Scene


async def postgres_killed(scene: Scene) -> str:
    """Transactions break off; PostgreSQL recovers from its log."""
    await scene.stack.postgres.kill()
    await scene.stack.restart_postgres()
    return scene.stack.postgres.name
