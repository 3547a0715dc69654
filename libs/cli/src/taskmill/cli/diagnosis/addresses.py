"""Where the servers are that a look needs."""

from pathlib import Path
from typing import NamedTuple

from taskmill.cli.diagnosis.remark import Remark, ok, warn
from taskmill.cli.nats_address import data_dir_behind
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


def is_elsewhere(gateway_url: str, addresses: Addresses) -> bool:
    """Whether commands go to another stack of this machine than the one that runs here."""
    behind = data_dir_behind(gateway_url) if "gateway" in addresses.stack else None
    return behind is not None and behind != addresses.data_dir.resolve()


def judge_address(gateway_url: str, origin: str, addresses: Addresses) -> Remark:
    """Say where commands go, and whether that is the stack that runs here.

    Args:
        gateway_url: Where they go.
        origin: What says so, for people.
        addresses: Where things are.
    """
    found = f"{gateway_url} ({origin})"
    if not is_elsewhere(gateway_url, addresses):
        return ok("address", found)
    return warn(
        "address",
        f"{found} is that of another stack than the one on {addresses.data_dir}, whose servers are looked at below",
        f"To ask the one here: export TASKMILL_URL={_listed(addresses.stack, 'gateway')}",
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
