"""The keys by which NATS knows the services: Ed25519, as nkeys. The server has the public keys alone."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import nkeys

from taskmill.cli.errors import UnusableNkeyError
from taskmill.runtime.settings import read_seed_file

SEED_BYTES = 32


class NatsKey(NamedTuple):
    """The key of a user."""

    seed: str
    """The secret half."""
    public: str
    """What the server is told."""


def ensure_keys(directory: Path, names: Iterable[str]) -> Mapping[str, NatsKey]:
    """Return the key of each user; those that have none get one.

    Args:
        directory: Has `<name>.nk` for each of them.
        names: Of the users.

    Raises:
        UnusableNkeyError: A file holds no seed, or others may read it.
        OSError: A file cannot be written.
    """
    return {name: _ensure_key(directory / f"{name}.nk") for name in names}


def new_seed() -> str:
    """A seed that nobody else has."""
    seed: bytes = nkeys.encode_seed(os.urandom(SEED_BYTES), nkeys.PREFIX_BYTE_USER)
    return seed.decode()


def public_key(seed: str) -> str:
    """What the server is told: the public half.

    Raises:
        nkeys.NkeysError: It is no seed of a user.
    """
    # What decodes to the seed of something else would be a key that the server takes for nobody's.
    if not seed.startswith("SU"):
        raise nkeys.ErrInvalidSeed
    key: bytes = nkeys.from_seed(bytearray(seed.encode())).public_key
    return key.decode()


def _ensure_key(path: Path) -> NatsKey:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Complete or not there at all: the server is told of what stands there.
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(f"{new_seed()}\n", encoding="ascii")
        draft.replace(path)
    try:
        seed = read_seed_file(path)
        return NatsKey(seed, public_key(seed))
    except (ValueError, nkeys.NkeysError) as error:
        raise UnusableNkeyError(path, str(error)) from error
