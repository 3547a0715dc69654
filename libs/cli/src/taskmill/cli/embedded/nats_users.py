"""nats-server's configuration of the users of NATS: for `taskmill up`, for Docker and for any other server.

What each may do is said in `taskmill.contracts.permissions`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from taskmill.contracts import permissions
from taskmill.contracts.permissions import NatsUser

SERVICES_USER = "taskmill"
"""May do everything; comes with a password, or without anything while none is chosen."""

OPEN_PASSWORD = "reader"  # noqa: S105 (for a server that lets everybody do everything)
"""The reader's password as long as none is chosen."""

PASSWORD_PATTERN = r"^[A-Za-z][A-Za-z0-9_.-]*$"  # noqa: S105
"""What stands unquoted in the server's configuration, and in a URL."""


@dataclass(frozen=True, slots=True)
class NatsUsers:
    """Who may connect to the server of `taskmill up`.

    Attributes:
        password: Of the user who may do everything; None: whoever brings no credentials is that user.
        reader_password: Of the user who may only read events.
        public_keys: Of the users who come with a key, by their names.
    """

    password: str | None = None
    reader_password: str = OPEN_PASSWORD
    public_keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def credentials(self) -> str:
        """What stands in the URL of somebody who may do everything, before the host; empty: nothing need."""
        return "" if self.password is None else f"{SERVICES_USER}:{self.password}@"

    def configuration(self) -> str:
        """The part of nats-server's configuration that makes them."""
        text = authorization(
            [
                with_password(SERVICES_USER, f'"{self.password or SERVICES_USER}"'),
                with_password(permissions.READER.name, f'"{self.reader_password}"', permissions.READER),
                *with_keys(self.public_keys),
            ]
        )
        return text if self.password is not None else text + f"\nno_auth_user: {SERVICES_USER}\n"


def authorization(users: Iterable[str]) -> str:
    """The block `authorization` of nats-server's configuration.

    Args:
        users: The entry of each.
    """
    return f"authorization {{\n  users: [\n{''.join(users)}  ]\n}}\n"


def with_password(name: str, password: str, rights: NatsUser | None = None) -> str:
    """The entry of a user who comes with a password.

    Args:
        name: The user's.
        password: As it stands there: quoted, or the name of a variable.
        rights: What it may do; None: everything.
    """
    who = f"user: {name}, password: {password}"
    return f"    {{ {who} }}\n" if rights is None else _entry(who, rights)


def with_keys(public_keys: Mapping[str, str]) -> list[str]:
    """The entries of the users who come with a key.

    Args:
        public_keys: By the names of users; who is not among them has no entry.
    """
    # An nkey has no name in the server's logs and reports but itself.
    return [
        f"    # {user.name}\n" + _entry(f"nkey: {public_keys[user.name]}", user)
        for user in permissions.USERS
        if user.name in public_keys
    ]


def _entry(who: str, rights: NatsUser) -> str:
    return f"""\
    {{
      {who}
      permissions: {{
        publish: [{_lines(rights.publishes)}
        ]
        subscribe: [{_lines(rights.subscribes)}
        ]
      }}
    }}
"""


def _lines(allowed: Iterable[str]) -> str:
    return "".join(f"\n          {json.dumps(subject)}" for subject in allowed)
