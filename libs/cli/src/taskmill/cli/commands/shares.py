"""`taskmill share …`."""

from typing import Annotated

import typer

from taskmill.cli import options
from taskmill.cli.connecting import client_of
from taskmill.cli.output import Column, OutputFormat, print_list, print_one
from taskmill.cli.registry import new_app
from taskmill.cli.wording import instant
from taskmill.contracts.limits import MAX_SHARE_WEIGHT, MIN_SHARE_WEIGHT
from taskmill.contracts.turns import Share

app = new_app("Say how concurrency keys share their queues. docs/limits.md is the guide.")

_Key = Annotated[str, typer.Argument(metavar="KEY", help="The concurrency key.", callback=options.a_chosen_key)]

SHARES: list[Column[Share]] = [
    Column("KEY", lambda share: share.concurrency_key, may_be_cut=True),
    Column("WEIGHT", lambda share: f"{share.weight:g}"),
]
SHARE: list[Column[Share]] = [
    Column("concurrency key", lambda share: share.concurrency_key),
    Column("weight", lambda share: f"{share.weight:g}"),
    Column("created", lambda share: instant(share.created_at)),
    Column("changed", lambda share: instant(share.updated_at)),
]


@app.command("set")
def set_share(
    key: _Key,
    weight: Annotated[
        float,
        typer.Argument(
            min=MIN_SHARE_WEIGHT,
            max=MAX_SHARE_WEIGHT,
            metavar="WEIGHT",
            help="Its turns for each of a key of weight 1.",
        ),
    ],
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Set how much of its queues a key gets, while others want them, too. It holds within 2 seconds."""
    with client_of(context) as client:
        print_one(client.put_share(key, weight), SHARE, output)


@app.command("ls")
def list_shares(output: options.Output = OutputFormat.TABLE, context: options.InContext = None) -> None:
    """List the shares that are set, by key. Any other key has the weight 1."""
    with client_of(context) as client:
        print_list(client.shares(), SHARES, output)


@app.command()
def delete(key: _Key, context: options.InContext = None) -> None:
    """Have a key share its queues with the weight 1 again."""
    with client_of(context) as client:
        client.delete_share(key)
