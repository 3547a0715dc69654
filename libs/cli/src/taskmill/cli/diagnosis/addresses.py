"""Where the servers are that a look needs."""

from pathlib import Path
from typing import NamedTuple

from taskmill.cli.settings import DataSettings
from taskmill.cli.stack import STACK_FILE
from taskmill.cli.stack_file import ListedProcess, read_stack_file
from taskmill.runtime.settings import NatsSettings, load


class Addresses(NamedTuple):
    """What is set, or else what a stack of `taskmill up` says; None: nobody says."""

    nats_url: str | None
    nats_seed: str | None
    """Proves on NATS as whom one comes; None: the URL says it."""
    database_url: str | None
    data_dir: Path
    stack: dict[str, ListedProcess]
    """What runs here by `taskmill up`, by name; empty: nothing does."""


def find_addresses() -> Addresses:
    """Find out where the servers are.

    Raises:
        SettingsError: A setting is wrong.
    """
    settings, nats = load(DataSettings), load(NatsSettings)
    stack = read_stack_file(settings.data / STACK_FILE)
    return Addresses(
        nats_url=nats.nats_url if "nats_url" in nats.model_fields_set else _listed(stack, "nats-server"),
        nats_seed=nats.nats_seed(),
        database_url=_database_url() or _listed(stack, "postgres"),
        data_dir=settings.data,
        stack=stack,
    )


def _database_url() -> str | None:
    try:
        # Here, because clients are installed without it.
        from taskmill.task_store.settings import DatabaseSettings  # noqa: PLC0415
    except ModuleNotFoundError:
        return None
    settings = load(DatabaseSettings)
    return settings.database_url.get_secret_value() if "database_url" in settings.model_fields_set else None


def _listed(stack: dict[str, ListedProcess], name: str) -> str | None:
    return stack[name].url if name in stack else None
