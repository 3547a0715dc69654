"""The keys of the services on every NATS that tests start: the same everywhere, so that a URL is all one has to know.

A server that knows no keys does not ask for them.
"""

from hashlib import sha256
from pathlib import Path

import nkeys
from pydantic import SecretStr

from taskmill.cli.embedded.nats import KEYS_DIRECTORY
from taskmill.contracts.permissions import OPERATOR, SERVICE_USERS, NatsUser

_VIOLATIONS = (" Publish Violation ", " Subscription Violation ")


def seed_of(user: NatsUser) -> SecretStr:
    """The seed of a user, for the setting `nats_nkey_seed`."""
    return SecretStr(nkeys.encode_seed(sha256(user.name.encode()).digest(), nkeys.PREFIX_BYTE_USER).decode())


def put_keys(data_dir: Path) -> None:
    """Have a server that keeps everything in a directory use these keys, when it starts there for the first time."""
    directory = data_dir / KEYS_DIRECTORY
    directory.mkdir(parents=True)
    for user in (*SERVICE_USERS, OPERATOR):
        path = directory / f"{user.name}.nk"
        path.touch(mode=0o600)
        path.write_text(seed_of(user).get_secret_value())


def violations(log_file: Path) -> list[str]:
    """What a nats-server has refused to users for want of a right, as its log has it."""
    if not log_file.exists():
        return []
    lines = log_file.read_text(errors="replace").splitlines()
    return [line for line in lines if any(sign in line for sign in _VIOLATIONS)]
