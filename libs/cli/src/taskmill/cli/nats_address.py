"""Where NATS is, for a processor that is started by hand."""

from typing import NamedTuple

from taskmill.cli.embedded.nats import SERVER_NAME
from taskmill.cli.pid_file import PidFile
from taskmill.cli.settings import StackSettings
from taskmill.cli.stack import NATS_DIRECTORY, STACK_FILE
from taskmill.cli.stack_file import read_stack_file
from taskmill.runtime.settings import NatsSettings, load


class NatsAddress(NamedTuple):
    """Where NATS is."""

    url: str
    """It may hold a password."""
    origin: str
    """What says so, for people."""


def find_nats() -> NatsAddress:
    """Find out which NATS a processor joins that is started here.

    TASKMILL_NATS_URL comes first (or NATS_URL; also in `.env`), then a stack of `taskmill up` that runs on
    TASKMILL_DATA (./.data), and then the port where NATS is by itself.

    Raises:
        SettingsError: A setting is wrong.
    """
    nats = load(NatsSettings)
    if "nats_url" in nats.model_fields_set:
        return NatsAddress(nats.nats_url, "TASKMILL_NATS_URL")
    data_dir = load(StackSettings).data.resolve()
    server = read_stack_file(data_dir / STACK_FILE).get(SERVER_NAME)
    pid_file = PidFile(data_dir / NATS_DIRECTORY / f"{SERVER_NAME}.pid")
    # What a launcher that was killed has left behind is no stack.
    if server is not None and server.url is not None and pid_file.running_pid() == server.pid:
        return NatsAddress(server.url, f"the stack on {data_dir}")
    return NatsAddress(nats.nats_url, f"the default: no stack runs on {data_dir}")


def without_credentials(urls: str) -> str:
    """Addresses, separated by commas, without users and passwords."""
    return ",".join(map(_without_credentials, urls.split(",")))


def _without_credentials(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
