"""The address of PostgreSQL, in the forms that people write it."""

from urllib.parse import urlsplit, urlunsplit

from taskmill.runtime.settings import split_address

_SCHEMES = frozenset({"postgres", "postgresql", "postgresql+asyncpg"})


def plain_database_url(url: str) -> str:
    """The same address as asyncpg takes it; query parameters such as `sslmode` are passed on.

    Args:
        url: `postgres://…`, `postgresql://…` or `postgresql+asyncpg://…`.

    Raises:
        ValueError: It has another scheme, or cannot be taken apart. The message does not repeat the address, which may
            hold a password.
    """
    parts = split_address(url)
    if parts.scheme not in _SCHEMES:
        raise ValueError("must start with postgresql://, postgres:// or postgresql+asyncpg://")
    return urlunsplit(parts._replace(scheme="postgresql"))


def database_place(url: str) -> str:
    """The part of an address that may be shown: `host:port`, without user and password."""
    return urlsplit(url).netloc.rpartition("@")[2] or "the server of its parameters"
