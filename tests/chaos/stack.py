"""The system under test: both servers, a proxy on each edge, and the services as real processes."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncpg

from taskmill.cli.embedded.nats import NatsServer
from taskmill.cli.embedded.ports import LOOPBACK, free_port
from taskmill.cli.embedded.postgres import PostgresServer
from taskmill.cli.readiness import is_ready
from taskmill.contracts.permissions import GATEWAY, PROCESSOR, TASK_STORE, NatsUser
from tests.chaos.checker.history import LIMIT, LIMITED_KIND, PAUSED_QUEUE
from tests.chaos.disks import own_disks
from tests.chaos.ledger import LEDGER_VARIABLE
from tests.chaos.processes import KeptProcess
from tests.chaos.proxy import TcpProxy
from tests.support.eventually import eventually

ACK_WAIT_SECONDS = 3
LEASE_SECONDS = 5
PROCESSORS = 4
READY_WITHIN_SECONDS = 60


@dataclass
class ChaosStack:
    """Everything that runs, and how to reach it past the proxies."""

    nats: NatsServer
    postgres: PostgresServer
    gateways: Sequence[KeptProcess]
    stores: Sequence[KeptProcess]
    processors: Sequence[KeptProcess]
    proxies: Sequence[TcpProxy]
    gateway_ports: Sequence[int]
    logs: Path
    processor_environment: Mapping[str, str]

    @property
    def services(self) -> Sequence[KeptProcess]:
        """All service processes."""
        return [*self.stores, *self.processors, *self.gateways]

    async def heal(self) -> None:
        """Undo every fault that is not undone."""
        for proxy in self.proxies:
            proxy.heal()
        for service in self.services:
            service.resume()
        for server in (self.nats, self.postgres):
            if not server.is_running:
                await server.start()

    async def stop_services(self) -> None:
        """Stop them all at once: one after the other their grace times would add up."""
        await asyncio.gather(*(service.stop() for service in self.services))

    def zombie(self) -> KeptProcess:
        """Describe one more processor, which takes its time between two heartbeats."""
        never = {"TASKMILL_WORK_ACK_WAIT_SECONDS": "3600"}
        return KeptProcess("zombie", "taskmill.processor", self.logs, {**self.processor_environment, **never})

    async def restart_nats(self, *, without_data: bool = False) -> None:
        """Kill nats-server and start it again, with or without what JetStream had on disk."""
        await self.nats.kill()
        if without_data:
            shutil.rmtree(self.nats.data_dir / "jetstream")
        await self.nats.start()

    async def restart_postgres(self) -> None:
        """Start a PostgreSQL that was killed or stopped."""
        await self.postgres.wait()
        await self.postgres.start()

    async def in_progress(self) -> int | None:
        """How many tasks are in progress; None when PostgreSQL does not say."""
        try:
            connection = await asyncpg.connect(self.postgres.url, timeout=5)
            try:
                return int(await connection.fetchval("SELECT count(*) FROM tasks WHERE status = 'in_progress'"))
            finally:
                await connection.close()
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return None


@asynccontextmanager
async def running_stack(
    directory: Path, *, stores: int, gateways: int, has_own_disks: bool
) -> AsyncIterator[ChaosStack]:
    """Start everything, yield it once the gateway is ready, and end it.

    Args:
        directory: Where servers keep their data, and logs and the ledger are written.
        stores: How many task stores.
        gateways: How many gateways.
        has_own_disks: Whether each server gets a disk of its own that can be filled.
    """
    async with AsyncExitStack() as cleanup:
        nats_server, postgres = NatsServer(directory / "nats"), PostgresServer(directory / "postgres")
        if has_own_disks:
            await cleanup.enter_async_context(own_disks([nats_server.data_dir, postgres.data_dir]))
        for server in (nats_server, postgres):
            cleanup.push_async_callback(server.stop)
            await server.start()
        proxies = {name: TcpProxy(name) for name in ("gateway-nats", "store-nats", "processor-nats", "store-postgres")}
        for name, proxy in proxies.items():
            cleanup.push_async_callback(proxy.stop)
            await proxy.start((postgres if name == "store-postgres" else nats_server).port)
        await _migrate(postgres.url)
        await _limit(postgres.url)
        stack = _describe(directory, nats_server, postgres, proxies, stores=stores, gateways=gateways)
        for service in stack.services:
            service.start()
        cleanup.push_async_callback(stack.stop_services)
        for port in stack.gateway_ports:
            await eventually(partial(is_ready, f"http://{LOOPBACK}:{port}"), within_seconds=READY_WITHIN_SECONDS)
        yield stack


def _describe(
    directory: Path,
    nats_server: NatsServer,
    postgres: PostgresServer,
    proxies: dict[str, TcpProxy],
    *,
    stores: int,
    gateways: int,
) -> ChaosStack:
    logs = directory / "logs"
    ports = [free_port() for _ in range(gateways)]
    database_url = postgres.url.replace(f":{postgres.port}/", f":{proxies['store-postgres'].port}/")
    timers = {"TASKMILL_WORK_ACK_WAIT_SECONDS": str(ACK_WAIT_SECONDS), "TASKMILL_LEASE_SECONDS": str(LEASE_SECONDS)}

    def environment(edge: str, user: NatsUser, **variables: str) -> dict[str, str]:
        nats_url, seed_file = f"nats://{LOOPBACK}:{proxies[edge].port}", nats_server.seed_files[user.name]
        return {**timers, "TASKMILL_NATS_URL": nats_url, "TASKMILL_NATS_NKEY_FILE": str(seed_file), **variables}

    store_environment = environment("store-nats", TASK_STORE, TASKMILL_DATABASE_URL=database_url)
    processor_environment = environment(
        "processor-nats",
        PROCESSOR,
        TASKMILL_QUEUES=f"default,{PAUSED_QUEUE}",
        TASKMILL_APPS="tests.chaos.handlers:app",
        **{LEDGER_VARIABLE: str(directory / "effects.jsonl")},
    )
    return ChaosStack(
        nats=nats_server,
        postgres=postgres,
        gateways=[
            KeptProcess(
                f"gateway-{number}",
                "taskmill.gateway",
                logs,
                environment("gateway-nats", GATEWAY, TASKMILL_PORT=str(port)),
            )
            for number, port in enumerate(ports, 1)
        ],
        stores=[
            KeptProcess(f"store-{number}", "taskmill.task_store", logs, store_environment)
            for number in range(1, stores + 1)
        ],
        processors=[
            KeptProcess(f"processor-{number}", "taskmill.processor", logs, processor_environment)
            for number in range(1, PROCESSORS + 1)
        ],
        proxies=list(proxies.values()),
        gateway_ports=ports,
        logs=logs,
        processor_environment=processor_environment,
    )


async def _migrate(database_url: str) -> None:
    from taskmill.task_store.migrations.steps import upgrade

    await asyncio.to_thread(upgrade, database_url)


async def _limit(database_url: str) -> None:
    """Set the limit before anything runs, so that it holds from the first task on."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "INSERT INTO limits (name, kind, max_in_progress, created_at, updated_at) "
            "VALUES ('limited', $1, $2, now(), now())",
            LIMITED_KIND,
            LIMIT,
        )
    finally:
        await connection.close()
