"""Where NATS is, for a processor that is started by hand."""

from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from taskmill.cli.connecting import find_target
from taskmill.cli.embedded.nats import SERVER_NAME
from taskmill.cli.embedded.ports import LOOPBACK
from taskmill.cli.known_stacks import data_dir_of_stack
from taskmill.cli.pid_file import PidFile
from taskmill.cli.settings import DataSettings
from taskmill.cli.stack import NATS_DIRECTORY, STACK_FILE
from taskmill.cli.stack_file import read_stack_file
from taskmill.runtime.settings import NatsSettings, load

_HTTP_PORT = 80


class NatsAddress(NamedTuple):
    """Where NATS is."""

    url: str
    """It may hold a password."""
    origin: str
    """What says so, for people."""


def find_nats() -> NatsAddress:
    """Find out which NATS a processor joins that is started here.

    TASKMILL_NATS_URL comes first (or NATS_URL; also in `.env`), then a stack of `taskmill up` that runs on
    TASKMILL_DATA (./.data). If nobody says where the data is, the stack follows whose gateway commands go to, and then
    the port where NATS is by itself.

    Raises:
        SettingsError: A setting is wrong.
        ContextError: What is in use is no context, or there is something wrong with their file.
    """
    nats = load(NatsSettings)
    if "nats_url" in nats.model_fields_set:
        return NatsAddress(nats.nats_url, "TASKMILL_NATS_URL")
    stack = load(DataSettings)
    data_dir = stack.data.resolve()
    if (url := _nats_of_stack(data_dir)) is not None:
        return NatsAddress(url, f"the stack on {data_dir}")
    if "data" not in stack.model_fields_set:
        gateway = find_target(None).url
        elsewhere = data_dir_behind(gateway)
        if elsewhere is not None and (url := _nats_of_stack(elsewhere)) is not None:
            return NatsAddress(url, f"the stack of {gateway}, on {elsewhere}")
    return NatsAddress(
        nats.nats_url, f"the default: no stack runs on {data_dir}; TASKMILL_NATS_URL or TASKMILL_DATA may name another"
    )


def _nats_of_stack(data_dir: Path) -> str | None:
    server = read_stack_file(data_dir / STACK_FILE).get(SERVER_NAME)
    pid_file = PidFile(data_dir / NATS_DIRECTORY / f"{SERVER_NAME}.pid")
    # What a launcher that was killed has left behind is no stack.
    return server.url if server is not None and pid_file.running_pid() == server.pid else None


def data_dir_behind(gateway: str) -> Path | None:
    """Where the stack of this machine has its data whose gateway has this address; None: nobody knows of one."""
    try:
        address = urlsplit(gateway)
        is_here = address.scheme == "http" and address.hostname in {LOOPBACK, "localhost", "::1"}
        return data_dir_of_stack(address.port or _HTTP_PORT) if is_here else None
    except ValueError:
        # No address: commands say so, and a processor needs none.
        return None


def without_credentials(urls: str) -> str:
    """Addresses, separated by commas, without users and passwords."""
    return ",".join(map(_without_credentials, urls.split(",")))


def _without_credentials(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
