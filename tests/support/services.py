"""The services, put together by their own bootstraps, in the process of a test."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr

from taskmill.cli.embedded.ports import free_port
from taskmill.contracts.permissions import GATEWAY, PROCESSOR, TASK_STORE
from taskmill.gateway.bootstrap import build as build_gateway
from taskmill.gateway.settings import GatewaySettings
from taskmill.processor.bootstrap import build_processor
from taskmill.processor.settings import ProcessorSettings
from taskmill.sdk import TaskApp
from taskmill.task_store.bootstrap import build as build_task_store
from taskmill.task_store.settings import TaskStoreSettings
from tests.support.eventually import holds
from tests.support.nats_keys import seed_of
from tests.support.running_service import running_service


def task_store(database_url: str, nats_url: str, **settings: Any) -> Any:
    """Build a task store; to be awaited."""
    return build_task_store(
        TaskStoreSettings(
            database_url=SecretStr(database_url), nats_url=nats_url, nats_nkey_seed=seed_of(TASK_STORE), **settings
        )
    )


@asynccontextmanager
async def running_gateway(
    nats_url: str, *, is_nats_there: bool = True, port: int | None = None, **settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Run a gateway; yield a client of it, once it has found NATS if that is there."""
    port = port or free_port()
    supervisor = await build_gateway(
        GatewaySettings(nats_url=nats_url, nats_nkey_seed=seed_of(GATEWAY), port=port, **settings)
    )
    async with (
        running_service(supervisor),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as client,
    ):

        async def check_nats_found() -> None:
            assert (await client.get("/health")).json()["components"]["nats"] == "up"

        if is_nats_there:
            await holds(check_nats_found)
        yield client


@dataclass(frozen=True)
class Services:
    """Everything that runs.

    Attributes:
        client: A client of the gateway.
    """

    client: httpx.AsyncClient

    async def ended(self, task_id: str) -> dict[str, Any]:
        """Wait until a task has completed, failed or been cancelled, and return it."""

        async def read() -> dict[str, Any]:
            task: dict[str, Any] = (await self.client.get(f"/tasks/{task_id}")).json()
            assert task["status"] in {"completed", "failed", "cancelled"}, task
            return task

        return await holds(read, within_seconds=20)

    async def completed(self, task_id: str) -> dict[str, Any]:
        """Wait until a task has ended, and return it; it must have completed."""
        task = await self.ended(task_id)
        assert task["status"] == "completed", task
        return task


@asynccontextmanager
async def running_services(
    database_url: str,
    nats_url: str,
    *,
    stores: int = 1,
    processors: int = 1,
    apps: Sequence[TaskApp] = (),
    slots: int = 100,
    **store_settings: Any,
) -> AsyncIterator[Services]:
    """Run task stores, processors and a gateway on the given servers.

    Args:
        database_url: A migrated database.
        nats_url: A NATS without streams, or with those of an earlier run on the same database.
        stores: How many task stores.
        processors: How many processors; each serves the default queue.
        apps: Handlers beside the built-in kinds.
        slots: How many handlers each processor executes at once.
        store_settings: What each task store is told, beside where the servers are.
    """
    async with AsyncExitStack() as stack:
        for _ in range(stores):
            await stack.enter_async_context(running_service(await task_store(database_url, nats_url, **store_settings)))
        for _ in range(processors):
            settings = ProcessorSettings(nats_url=nats_url, nats_nkey_seed=seed_of(PROCESSOR), slots=slots)
            processor = build_processor(settings, apps)
            await stack.enter_async_context(running_service(processor))
        client = await stack.enter_async_context(running_gateway(nats_url))

        async def check_ready() -> None:
            answer = await client.get("/readyz")
            assert answer.status_code == httpx.codes.OK, answer.text

        # A gateway serves before it has found NATS.
        await holds(check_ready)
        yield Services(client)
