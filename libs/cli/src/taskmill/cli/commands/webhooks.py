"""`taskmill webhook …`."""

import sys
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any
from uuid import UUID

import typer

from taskmill.cli import options
from taskmill.cli.command import one_of
from taskmill.cli.connecting import client_of
from taskmill.cli.output import Column, OutputFormat, print_list, print_one, say
from taskmill.cli.registry import new_app
from taskmill.cli.replaying import show_replay
from taskmill.cli.wording import instant
from taskmill.contracts.limits import MAX_INTEGER
from taskmill.contracts.webhooks import Delivery, Webhook

app = new_app("Have events sent to URLs, and see what became of them. docs/webhooks.md is the guide.")


class Clearable(StrEnum):
    """What of a webhook can be taken away."""

    DESCRIPTION = "description"
    TYPES = "types"
    KIND = "kind"
    QUEUE = "queue"
    LABELS = "labels"


_Webhook = Annotated[UUID, typer.Argument(metavar="WEBHOOK", help="The webhook's id.")]
_Description = Annotated[str | None, typer.Option(metavar="TEXT", help="What it is for, for people.")]
_Secret = Annotated[
    str | None,
    typer.Option(
        metavar="SECRET|-",
        help="What deliveries are signed with; -: read from stdin, so that nobody else sees it; if not given, one is "
        "made.",
    ),
]


def _state(webhook: Webhook) -> str:
    return "on" if webhook.is_enabled else f"off ({webhook.switched_off_reason})"


def _told(webhook: Webhook) -> str:
    conditions = [
        *webhook.types,
        *([f"kind {webhook.kind}"] if webhook.kind else []),
        *([f"queue {webhook.queue}"] if webhook.queue else []),
        *webhook.labels,
    ]
    return ", ".join(conditions) or "everything"


_WEBHOOKS: list[Column[Webhook]] = [
    Column("ID", lambda webhook: webhook.id),
    Column("STATE", _state),
    Column("URL", lambda webhook: webhook.url, may_be_cut=True),
    Column("IS TOLD", _told, may_be_cut=True),
]
_WEBHOOK: list[Column[Webhook]] = [
    Column("id", lambda webhook: webhook.id),
    Column("url", lambda webhook: webhook.url),
    Column("description", lambda webhook: webhook.description),
    Column("state", _state),
    Column("types", lambda webhook: ", ".join(webhook.types)),
    Column("kind", lambda webhook: webhook.kind),
    Column("queue", lambda webhook: webhook.queue),
    Column("labels", lambda webhook: ", ".join(webhook.labels)),
    Column("secrets", lambda webhook: webhook.secret_count),
    Column("revision", lambda webhook: webhook.revision),
    Column("created", lambda webhook: instant(webhook.created_at)),
    Column("updated", lambda webhook: instant(webhook.updated_at)),
]
_WITH_SECRET: list[Column[Any]] = [*_WEBHOOK, Column("secret", lambda webhook: webhook.secret)]
_DELIVERIES: list[Column[Delivery]] = [
    Column("TASK", lambda delivery: delivery.task_id),
    Column("STATUS", lambda delivery: delivery.status),
    Column("ATTEMPT", lambda delivery: f"{delivery.attempt} of {delivery.attempt_limit}"),
    Column("NEXT", lambda delivery: instant(delivery.next_attempt_at)),
    Column("CREATED", lambda delivery: instant(delivery.created_at)),
    Column("EVENT", lambda delivery: delivery.event_id),
    Column("ERROR", lambda delivery: delivery.last_error and delivery.last_error.code, may_be_cut=True),
]


@app.command("ls")
def list_webhooks(output: options.Output = OutputFormat.TABLE, context: options.InContext = None) -> None:
    """List the webhooks, oldest first."""
    with client_of(context) as client:
        print_list(client.webhooks(), _WEBHOOKS, output)


@app.command()
def show(webhook_id: _Webhook, output: options.Output = OutputFormat.TABLE, context: options.InContext = None) -> None:
    """Show a webhook, without its secrets."""
    with client_of(context) as client:
        print_one(client.webhook(webhook_id), _WEBHOOK, output)


@app.command()
def create(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where events are sent.")],
    description: _Description = None,
    types: options.OfTypes = None,
    kind: options.OfKind = None,
    queue: options.InQueue = None,
    label: options.WithLabels = None,
    secret: _Secret = None,
    off: Annotated[bool, typer.Option("--off", help="Not yet: nothing is delivered until it is switched on.")] = False,
    key: options.IdempotencyKey = None,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Have events sent to a URL from now on; without conditions all. The secret is shown this once."""
    given: Any = options.chosen(
        description=description,
        types=types,
        kind=kind,
        queue=queue,
        labels=options.labels_wanted(label),
        secret=_read_secret(secret),
    )
    with client_of(context) as client:
        made = client.create_webhook(url, is_enabled=not off, idempotency_key=key, **given)
        print_one(made, _WITH_SECRET, output)
    _remind(output)


@app.command()
def update(
    webhook_id: _Webhook,
    url: Annotated[str | None, typer.Option(metavar="URL", help="Where events are sent from now on.")] = None,
    description: _Description = None,
    types: options.OfTypes = None,
    kind: options.OfKind = None,
    queue: options.InQueue = None,
    label: options.WithLabels = None,
    clear: Annotated[
        list[Clearable] | None,
        typer.Option("--clear", metavar=one_of(Clearable), help="Take this away. May be repeated."),
    ] = None,
    enabled: Annotated[
        bool | None,
        typer.Option(
            "--on/--off", help="Deliver what happens from now on; or nothing, which is not told later either."
        ),
    ] = None,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Change a webhook, switch it on, or off. What is given replaces what was there."""
    changes: Any = options.chosen(
        url=url,
        description=description,
        types=types,
        kind=kind,
        queue=queue,
        labels=options.labels_wanted(label),
        is_enabled=enabled,
    )
    both = sorted(changes.keys() & set(clear or []))
    if both:
        raise typer.BadParameter(f"{', '.join(both)}: either a new one, or none", param_hint="--clear")
    changes |= dict.fromkeys(map(str, clear or []))
    if not changes:
        raise typer.BadParameter("say what to change: --url, --on, --off, --type, …")
    with client_of(context) as client:
        print_one(client.update_webhook(webhook_id, **changes), _WEBHOOK, output)


@app.command()
def delete(webhook_id: _Webhook, context: options.InContext = None) -> None:
    """Delete a webhook; deliveries that wait end without being sent."""
    with client_of(context) as client:
        client.delete_webhook(webhook_id)
    say(f"{webhook_id} is deleted.")


@app.command()
def rotate(
    webhook_id: _Webhook,
    secret: _Secret = None,
    if_match: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="REVISION", callback=options.at_most(MAX_INTEGER), help="Only if it has this revision."
        ),
    ] = None,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Give a webhook a new secret, which is shown this once; the one before holds until the next rotation."""
    with client_of(context) as client:
        made = client.rotate_webhook_secret(webhook_id, secret=_read_secret(secret), if_match=if_match)
        print_one(made, _WITH_SECRET, output)
    _remind(output)


@app.command()
def deliveries(
    webhook_id: _Webhook,
    limit: options.Limit = 50,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """List what became of the events that a webhook was to be told, newest first."""
    with client_of(context) as client:
        found = client.deliveries(webhook_id)
        print_list(islice(found, limit) if limit else found, _DELIVERIES, output)


@app.command()
def redeliver(
    webhook_id: _Webhook,
    task_id: Annotated[UUID, typer.Argument(metavar="TASK", help="The delivery, as `webhook deliveries` names it.")],
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Deliver an event again, at once, with all its attempts."""
    with client_of(context) as client:
        print_list([client.redeliver(webhook_id, task_id)], _DELIVERIES, output)


@app.command()
def replay(
    webhook_id: _Webhook,
    after: options.ReplayAfter,
    until: options.ReplayUntil = None,
    types: options.OfTypes = None,
    kind: options.OfKind = None,
    queue: options.InQueue = None,
    label: options.WithLabels = None,
    key: options.IdempotencyKey = None,
    wait: options.WaitForReplay = False,
    within: options.WithinSeconds = 300,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Tell a webhook what happened behind a position of the log; the conditions are the replay's own."""
    conditions: Any = options.chosen(types=types, kind=kind, queue=queue, labels=options.labels_wanted(label))
    with client_of(context) as client:
        begun = client.replay_to_webhook(webhook_id, after=after, until=until, idempotency_key=key, **conditions)
        show_replay(client, begun, within if wait else None, output)


def _read_secret(given: str | None) -> str | None:
    return sys.stdin.readline().strip() if given == "-" else given


def _remind(output: OutputFormat) -> None:
    if output is OutputFormat.TABLE:
        say("Keep the secret where the receiver can read it: it is not shown again.")
