"""How a replay is shown, and waited for."""

import typer

from taskmill.cli.exit_codes import ExitCode
from taskmill.cli.output import Column, OutputFormat, print_one, say
from taskmill.cli.registry import NAME
from taskmill.cli.waiting import wait_until_completed
from taskmill.cli.wording import instant
from taskmill.contracts.webhooks import Replay, ReplayStatus
from taskmill.sdk.client import Client

_REPLAY: list[Column[Replay]] = [
    Column("id", lambda replay: replay.id),
    Column("to", lambda replay: replay.subject or f"webhook {replay.webhook_id}"),
    Column("status", lambda replay: replay.status),
    Column("after", lambda replay: replay.after),
    Column("until", lambda replay: replay.until),
    Column("position", lambda replay: replay.position),
    Column("told", lambda replay: replay.told),
    Column("types", lambda replay: ", ".join(replay.types)),
    Column("kind", lambda replay: replay.kind),
    Column("queue", lambda replay: replay.queue),
    Column("labels", lambda replay: ", ".join(replay.labels)),
    Column("created", lambda replay: instant(replay.created_at)),
    Column("finished", lambda replay: instant(replay.finished_at)),
]


def show_replay(client: Client, replay: Replay, within_seconds: float | None, output: OutputFormat) -> None:
    """Print a replay; with a time, once it is completed.

    Raises:
        typer.Exit: Time is over.
    """
    if within_seconds is not None:
        replay = wait_until_completed(
            replay,
            lambda: client.replay(replay.id),
            is_completed=lambda found: found.status is ReplayStatus.COMPLETED,
            told=lambda found: (_share(found), f"{found.told} told"),
            within_seconds=within_seconds,
        )
    print_one(replay, _REPLAY, output)
    if replay.status is not ReplayStatus.RUNNING:
        return
    if within_seconds is not None:
        say(f"{NAME}: it was not completed within {within_seconds:g} s; it goes on.")
        raise typer.Exit(ExitCode.NOT_ENDED)
    if output is OutputFormat.TABLE:
        say(f"It goes on: taskmill replay show {replay.id} --wait")


def _share(replay: Replay) -> float:
    return max(replay.position - replay.after, 0) / max(replay.until - replay.after, 1)
