"""Following a task to its end over REST."""

from typing import Any

import httpx

from tests.support.eventually import holds


async def completed_task(client: httpx.AsyncClient, task_id: str, *, within_seconds: float) -> dict[str, Any]:
    """Return a task once it is completed. The gateway must answer meanwhile."""

    async def task() -> dict[str, Any]:
        found: dict[str, Any] = (await client.get(f"/tasks/{task_id}")).json()
        assert found.get("status") == "completed", found
        return found

    return await holds(task, within_seconds=within_seconds)
