"""`taskmill nats …`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from taskmill.cli.atomic_file import write_atomically
from taskmill.cli.embedded.nats_keys import ensure_keys
from taskmill.cli.embedded.nats_users import authorization, with_keys
from taskmill.cli.output import say
from taskmill.cli.registry import NAME, new_app
from taskmill.contracts.permissions import USERS

CONFIGURATION_FILE = "nats-users.conf"

_HEADER = f"""\
# Who may do what on NATS: made by `{NAME} nats users`. These are the public keys, and no secrets.
"""

app = new_app("Say to a NATS server who may do what.")


@app.callback()
def nats() -> None:
    """Keep `users` a command with a name of its own while it is the only one."""


@app.command()
def users(
    out: Annotated[Path, typer.Option("--out", metavar="DIRECTORY", help="Where to write; made when it is missing.")],
) -> None:
    """Make a key for each user of NATS that has none, and the server's configuration of what each may do.

    DIRECTORY gets nats-users.conf for the server (`include`), and of each user the seed of its key, which is secret:
    USER.nk for TASKMILL_NATS_NKEY_FILE, USER.env with TASKMILL_NATS_NKEY_SEED. Keys that are there stay.
    """
    keys = ensure_keys(out, [user.name for user in USERS])
    for name, key in keys.items():
        write_atomically(out / f"{name}.env", f"TASKMILL_NATS_NKEY_SEED={key.seed}\n", is_private=True)
    public_keys = {name: key.public for name, key in keys.items()}
    # Not by another file in its place: a container has the one that was there when it was made, whatever its name is
    # given to. Should the server read it half written, it says so and goes on with what it had.
    (out / CONFIGURATION_FILE).write_text(_HEADER + authorization(with_keys(public_keys)))
    say(f"{out}{os.sep} has {CONFIGURATION_FILE} and the keys of {', '.join(keys)}.")
