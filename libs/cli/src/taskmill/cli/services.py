"""Which services run, in which order, and what each is told."""

import os
from collections.abc import Sequence
from pathlib import Path

from taskmill.cli.embedded.nats import NatsServer
from taskmill.cli.service_process import ServiceProcess
from taskmill.cli.settings import StackSettings
from taskmill.contracts.permissions import GATEWAY, PROCESSOR, TASK_STORE, NatsUser

GATEWAY_NAME = "gateway"

_DATABASE_VARIABLES = ("DATABASE_URL", "TASKMILL_DATABASE_URL")
_NATS_VARIABLES = ("NATS_URL", "TASKMILL_NATS_URL")
_SEED_VARIABLE = "TASKMILL_NATS_NKEY_SEED"
_SEED_FILE_VARIABLE = "TASKMILL_NATS_NKEY_FILE"

# How long each may drain; with the servers' 2 s that is less than the 10 s in which `taskmill up` has to end.
_PROCESSOR_STOP_SECONDS = 4.5
_GATEWAY_STOP_SECONDS = 1.5
_STORE_STOP_SECONDS = 1.5
# A part of the first of them: the rest is for giving tasks back.
_HANDLER_GRACE_SECONDS = 2


class Services:
    """The three services of one stack, each as often as it is wanted, and the migration that goes before them.

    Args:
        settings: The stack's settings.
        data_dir: The stack's directory, which has `logs` and `run`.
        database_url: Where PostgreSQL is; only the store is told.
        nats: The server, which was started; each service is told where it is, and has a key of its own.
        gateway_ports: Where each gateway listens.
    """

    def __init__(
        self,
        settings: StackSettings,
        data_dir: Path,
        *,
        database_url: str,
        nats: NatsServer,
        gateway_ports: Sequence[int],
    ) -> None:
        def environment(user: NatsUser) -> dict[str, str]:
            return _base_environment(nats.public_url, nats.seed_files[user.name])

        store_environment = {**environment(TASK_STORE), **dict.fromkeys(_DATABASE_VARIABLES, database_url)}
        self.migration = ServiceProcess(
            "migration",
            "taskmill.task_store",
            "migrate",
            # None of the stack's stores runs, and nobody else's should.
            "--steps=all",
            data_dir=data_dir,
            environment=store_environment,
            stop_within_seconds=_STORE_STOP_SECONDS,
        )
        self.stores = [
            ServiceProcess(
                _numbered("task-store", index),
                "taskmill.task_store",
                data_dir=data_dir,
                environment={
                    **store_environment,
                    **_metrics(settings, 0 if index == 0 else settings.processors + index),
                },
                stop_within_seconds=_STORE_STOP_SECONDS,
                # That a store serves is known of the gateway; that each of several does, only of itself.
                has_health_file=settings.stores > 1,
            )
            for index in range(settings.stores)
        ]
        self.processors = [
            ServiceProcess(
                f"processor-{number}",
                "taskmill.processor",
                data_dir=data_dir,
                environment={
                    **environment(PROCESSOR),
                    "TASKMILL_PROCESSOR_ID": f"processor-{number}",
                    "TASKMILL_GRACE_SECONDS": str(_HANDLER_GRACE_SECONDS),
                    **_metrics(settings, number),
                },
                stop_within_seconds=_PROCESSOR_STOP_SECONDS,
                has_health_file=True,
            )
            for number in range(1, settings.processors + 1)
        ]
        self.gateways = [
            ServiceProcess(
                _numbered(GATEWAY_NAME, index),
                "taskmill.gateway",
                data_dir=data_dir,
                environment={
                    **environment(GATEWAY),
                    "TASKMILL_HOST": settings.host,
                    "TASKMILL_PORT": str(port),
                },
                stop_within_seconds=_GATEWAY_STOP_SECONDS,
                url=settings.url_at(port),
            )
            for index, port in enumerate(gateway_ports)
        ]


def _numbered(name: str, index: int) -> str:
    """Name the first as the only one is named, so that who looks for it finds it; the second `<name>-2`."""
    return name if index == 0 else f"{name}-{index + 1}"


def _metrics(settings: StackSettings, number: int) -> dict[str, str]:
    """Give each process a port of its own, if metrics are wanted, whatever port its `.env` says."""
    if not settings.metrics_ports:
        return {}
    return {
        "TASKMILL_METRICS_PORT": str(settings.metrics_ports[number]),
        "TASKMILL_METRICS_ADDRESS": settings.metrics_address,
    }


def _base_environment(nats_url: str, seed_file: Path) -> dict[str, str]:
    """Return this process' environment with this stack's NATS and a key for it, and without anybody's database."""
    foreign = (*_DATABASE_VARIABLES, _SEED_VARIABLE)
    inherited = {name: value for name, value in os.environ.items() if name not in foreign}
    return {**inherited, **dict.fromkeys(_NATS_VARIABLES, nats_url), _SEED_FILE_VARIABLE: str(seed_file)}
