"""TCP ports on loopback: find a free one, and use the same one at the next start."""

import random
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"

# Linux hands out ports from 32768 up to outgoing connections: a server that listens there may find its port
# taken by a client at its next start.
HIGHEST_PORT = 32_767
LOWEST_PORT = 1_024
_LOWEST_RANDOM_PORT = 20_000


def bind_once(host: str, port: int) -> None:
    """Take `host`:`port` and let go of it again, to see whether a server could listen there.

    Raises:
        OSError: It could not; `errno` is `EADDRINUSE` when another one does.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: else the closed connections of the last run make the port look taken for a minute.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def is_port_free(port: int) -> bool:
    """Tell whether a server could listen on this port of 127.0.0.1 now. The answer may be out of date at once."""
    try:
        bind_once(LOOPBACK, port)
    except OSError:
        return False
    return True


def free_port(preferred: int | None = None) -> int:
    """Return a port that is free on 127.0.0.1.

    Args:
        preferred: Where to look first; a taken port moves on to the next. None starts at a random port, so that
            two callers at the same moment hardly ever get the same one.

    Returns:
        A port from 1024 to 32767; past the end the search goes on at 20000.

    Raises:
        OSError: No port is free.
    """
    port = preferred or random.randint(_LOWEST_RANDOM_PORT, HIGHEST_PORT)
    for _ in range(HIGHEST_PORT):
        if LOWEST_PORT <= port <= HIGHEST_PORT and is_port_free(port):
            return port
        port = port + 1 if LOWEST_PORT <= port < HIGHEST_PORT else _LOWEST_RANDOM_PORT
    raise OSError("no TCP port is free on 127.0.0.1")


def recall_port(port_file: Path) -> int | None:
    """Return the port that `remember_port` wrote, or None when there is none that makes sense."""
    try:
        port = int(port_file.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return port if LOWEST_PORT <= port <= HIGHEST_PORT else None


def remember_port(port_file: Path, port: int) -> None:
    """Write down the port that a server listens on, for its next start."""
    port_file.write_text(f"{port}\n")
