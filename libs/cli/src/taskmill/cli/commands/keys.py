"""`taskmill key …`."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from taskmill.cli import options
from taskmill.cli.command import one_of
from taskmill.cli.connecting import client_of
from taskmill.cli.output import Column, OutputFormat, print_list, print_one, say
from taskmill.cli.registry import new_app
from taskmill.contracts.api_keys import ALL_SCOPES, ApiKey, ApiKeyWithSecret, Scope

app = new_app("Make API keys, and revoke them.")


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= datetime.now(UTC) else "usable"


_KEYS: list[Column[ApiKey]] = [
    Column("ID", lambda key: key.id),
    Column("NAME", lambda key: key.name, may_be_cut=True),
    Column("STATE", _state),
    Column("SCOPES", lambda key: " ".join(key.scopes), may_be_cut=True),
    Column("LAST USED", lambda key: key.last_used_at),
    Column("EXPIRES", lambda key: key.expires_at),
]
_KEY: list[Column[ApiKey]] = [
    Column("id", lambda key: key.id),
    Column("name", lambda key: key.name),
    Column("state", _state),
    Column("scopes", lambda key: " ".join(key.scopes)),
    Column("created", lambda key: f"{key.created_at} by {key.created_by}"),
    Column("expires", lambda key: key.expires_at),
    Column("revoked", lambda key: key.revoked_at),
    Column("last used", lambda key: key.last_used_at),
]
_NEW_KEY: list[Column[ApiKeyWithSecret]] = [
    Column("id", lambda key: key.id),
    Column("name", lambda key: key.name),
    Column("scopes", lambda key: " ".join(key.scopes)),
    Column("expires", lambda key: key.expires_at),
    Column("key", lambda key: key.key),
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for, for people.")],
    scopes: Annotated[
        list[Scope] | None,
        typer.Option(
            "--scope",
            "-s",
            metavar=one_of(Scope),
            help="What who has it may do. Several: all of it. None: tasks:read.",
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Whoever has it may do everything.")] = False,
    expires_in_days: Annotated[
        float | None,
        typer.Option("--expires-in", min=0, metavar="DAYS", help="After so long it is worth nothing; else never."),
    ] = None,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Make an API key, and print it: this is the only time that it is shown."""
    if everything and scopes:
        raise typer.BadParameter("all scopes, or some", param_hint="--all")
    wanted = list(ALL_SCOPES) if everything else scopes or [Scope.TASKS_READ]
    expires_at = None if expires_in_days is None else datetime.now(UTC) + timedelta(days=expires_in_days)
    with client_of(context) as client:
        print_one(client.create_key(name, wanted, expires_at=expires_at), _NEW_KEY, output)
    say("The key is not shown again.")


@app.command("ls")
def list_keys(output: options.Output = OutputFormat.TABLE, context: options.InContext = None) -> None:
    """List the API keys, oldest first, without the keys themselves; those that ended are known for 30 days."""
    with client_of(context) as client:
        print_list(client.keys(), _KEYS, output)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id: the part of it behind tm_.")],
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Have an API key be worth nothing, for good, within a second."""
    with client_of(context) as client:
        print_one(client.revoke_key(key_id), _KEY, output)
