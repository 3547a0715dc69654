"""The embedded stack: two servers and three services, started, kept running and stopped in order."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from taskmill.cli.embedded.nats import NatsServer
from taskmill.cli.embedded.ports import LOOPBACK
from taskmill.cli.embedded.postgres import PostgresServer
from taskmill.cli.errors import ServiceStartError
from taskmill.cli.gateway_ports import find_gateway_ports
from taskmill.cli.known_stacks import known_stack
from taskmill.cli.readiness import is_ready
from taskmill.cli.service_process import ServiceProcess
from taskmill.cli.services import Services
from taskmill.cli.settings import StackSettings
from taskmill.cli.stack_file import StackFile
from taskmill.cli.supervision import Supervised, describe_end, keep_running

STACK_FILE = "stack.json"
NATS_DIRECTORY = "nats"

# Where NATS clients look by themselves; and not where a machine's own PostgreSQL may be.
_NATS_PORT = 4_222
_POSTGRES_PORT = 15_432

DEFAULT_NATS_URL = f"nats://{LOOPBACK}:{_NATS_PORT}"
"""Where the NATS of a stack is, unless another server has the port."""

_READY_WITHIN_SECONDS = 60.0
_READY_POLL_SECONDS = 0.05


class Stack:
    """Everything that `taskmill up` runs.

    Args:
        settings: Where to listen, and how many of each service to run.
        data_dir: The directory that keeps everything, with `logs` and `run` in it; held by this process alone.
        warn: Gets lines for people when a process ended.
        prepare: Called with the address of the database when that is migrated, before anything serves; what it raises
            stops the stack.
    """

    def __init__(
        self,
        settings: StackSettings,
        data_dir: Path,
        warn: Callable[[str], None],
        prepare: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self._prepare = prepare
        self._settings = settings
        self._data_dir = data_dir
        self._warn = warn
        self._processes: list[Supervised] = []
        self._stack_file = StackFile(data_dir / STACK_FILE, self._processes)

    async def run(self, ready: Callable[[str, Sequence[str]], None]) -> None:
        """Start everything, call `ready`, and keep it running; drain and stop it when cancelled.

        Processors stop first, so that their last reports are heard; then gateways, stores and servers.

        Args:
            ready: Called once everything serves, with the URL of NATS and those of the gateways.

        Raises:
            StackError: It could not be started; what ran was stopped.
        """
        async with contextlib.AsyncExitStack() as running:
            running.callback(self._stack_file.remove)
            nats = NatsServer(self._data_dir / NATS_DIRECTORY, _NATS_PORT, self._settings.nats_users)
            postgres = PostgresServer(self._data_dir / "postgres", _POSTGRES_PORT)
            self._processes += [nats, postgres]
            running.push_async_callback(_stop_all, [nats, postgres])
            await self._start(nats, postgres)

            ports = find_gateway_ports(self._settings)
            for port in ports:
                running.enter_context(known_stack(port, self._data_dir))
            services = Services(
                self._settings, self._data_dir, database_url=postgres.local_url, nats=nats, gateway_ports=ports
            )
            self._processes += [*services.stores, *services.processors, *services.gateways]
            for group in (services.stores, services.gateways, services.processors):
                running.push_async_callback(_stop_all, group)
            # Only stores have to wait for the migration: the others spend that time on their imports.
            await self._start(*services.gateways, *services.processors)
            await _run_to_the_end(services.migration)
            if self._prepare is not None:
                await self._prepare(postgres.url)
            await self._start(*services.stores)
            await self._wait_until_ready(services)
            ready(nats.public_url, [self._settings.url_at(port) for port in ports])
            async with asyncio.TaskGroup() as supervision:
                for process in self._processes:
                    supervision.create_task(keep_running(process, self._stack_file, self._warn))

    def abandon(self) -> None:
        """Have everything end, and do not wait for it."""
        for process in reversed(self._processes):
            process.abandon()

    async def _start(self, *processes: Supervised) -> None:
        await asyncio.gather(*(process.start() for process in processes))
        self._stack_file.write()

    async def _wait_until_ready(self, services: Services) -> None:
        """Return when every gateway serves requests, every processor takes in work, and everything runs.

        Nobody is started again before that: what fails at the first try is a mistake to show, not to repeat.
        """
        waiting_for: Supervised = self._processes[-1]
        try:
            async with asyncio.timeout(_READY_WITHIN_SECONDS):
                while (missing := await self._unready(services)) is not None:
                    waiting_for = missing
                    await self._check_all_run()
                    await asyncio.sleep(_READY_POLL_SECONDS)
                await self._check_all_run()
        except TimeoutError:
            reason = f"was not ready within {_READY_WITHIN_SECONDS:g} s"
            raise ServiceStartError(waiting_for.name, reason, waiting_for.log_tail()) from None

    async def _unready(self, services: Services) -> Supervised | None:
        """Return somebody who does not serve yet; None when all do."""
        for gateway in services.gateways:
            if not await is_ready(str(gateway.url)):
                return gateway
        return next((one for one in (*services.stores, *services.processors) if not one.is_well), None)

    async def _check_all_run(self) -> None:
        for process in self._processes:
            if process.pid is None:
                raise ServiceStartError(process.name, describe_end(await process.wait()), process.log_tail())


async def _run_to_the_end(process: ServiceProcess) -> None:
    await process.start()
    try:
        status = await process.wait()
    finally:
        await process.stop()
    if status != 0:
        raise ServiceStartError(process.name, describe_end(status), process.log_tail())


async def _stop_all(processes: Sequence[Supervised]) -> None:
    await asyncio.gather(*(process.stop() for process in processes))
