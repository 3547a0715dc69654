"""`taskmill schedule …`."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any
from uuid import UUID

import typer

from taskmill.cli import options
from taskmill.cli.command import one_of
from taskmill.cli.commands.submit import read_payload
from taskmill.cli.connecting import client_of
from taskmill.cli.output import Column, OutputFormat, print_list, print_one
from taskmill.cli.registry import new_app
from taskmill.cli.task_columns import TASK
from taskmill.cli.wording import instant
from taskmill.contracts.limits import (
    MAX_ATTEMPTS,
    MAX_CATCH_UP_SECONDS,
    MAX_INTERVAL_SECONDS,
    MAX_NEXT_TIMES,
    MAX_TIMEOUT_SECONDS,
    MIN_CATCH_UP_SECONDS,
)
from taskmill.contracts.schedules import Backfill, Overlap, Schedule, ScheduleFire
from taskmill.contracts.status import Priority
from taskmill.contracts.tasks import WireModel

app = new_app("Have tasks made again and again, by a cron line or an interval. docs/schedules.md is the guide.")


class Clearable(StrEnum):
    """What of a schedule can be taken away."""

    STARTS_AT = "starts_at"
    ENDS_AT = "ends_at"


class _NextTime(WireModel):
    """A time, as it is printed."""

    at: datetime


_Schedule = Annotated[UUID, typer.Argument(metavar="SCHEDULE", help="The schedule's id.")]
_Cron = Annotated[
    str | None, typer.Option(metavar="LINE", help="When: minute, hour, day, month and weekday, as '0 3 * * MON-FRI'.")
]
_TimeZone = Annotated[
    str | None, typer.Option("--zone", metavar="ZONE", help="Whose clock the line is read by; if not given: UTC.")
]
_Every = Annotated[
    int | None,
    typer.Option("--every", min=1, max=MAX_INTERVAL_SECONDS, metavar="SECONDS", help="How often, instead of a line."),
]
_Data = Annotated[
    str | None,
    typer.Option("--data", "-d", metavar="JSON|@FILE|-", help="The payload: JSON, a file of it, or stdin."),
]
_Title = Annotated[str | None, typer.Option(metavar="TEXT", help="What each task is; if not given: the name.")]
_Queue = Annotated[
    str | None,
    typer.Option("--queue", "-q", metavar="QUEUE", help="The queue that they wait in.", callback=options.a_name),
]
_Priority = Annotated[
    Priority | None, typer.Option("--priority", "-p", metavar=one_of(Priority), help="Which go first.")
]
_Labels = Annotated[
    list[str] | None, typer.Option("--label", "-l", metavar="KEY=VALUE", help="To find them by. May be repeated.")
]
_MaxAttempts = Annotated[
    int | None, typer.Option(min=1, max=MAX_ATTEMPTS, metavar="N", help="How often each is tried at most.")
]
_Timeout = Annotated[
    float | None,
    typer.Option(min=0, max=MAX_TIMEOUT_SECONDS, metavar="SECONDS", help="How long an attempt may take."),
]
_Overlap = Annotated[
    Overlap | None, typer.Option(metavar=one_of(Overlap), help="What happens while tasks of it are in a run.")
]
_CatchUp = Annotated[
    int | None,
    typer.Option(
        min=MIN_CATCH_UP_SECONDS,
        max=MAX_CATCH_UP_SECONDS,
        metavar="SECONDS",
        help="How late a time may be made up for after an outage; if not given: an hour.",
    ),
]
_StartsAt = Annotated[str | None, typer.Option(metavar="TIME", help="No time before: 2030-12-24T18:00:00Z, or +1d.")]
_EndsAt = Annotated[str | None, typer.Option(metavar="TIME", help="No time from then on, given as --starts-at is.")]


def _state(schedule: Schedule) -> str:
    if schedule.is_paused:
        return "paused"
    return "on" if schedule.next_fire_at else "over"


_SCHEDULES: list[Column[Schedule]] = [
    Column("ID", lambda it: it.id),
    Column("STATE", _state),
    Column("NEXT", lambda it: instant(it.next_fire_at)),
    Column("NAME", lambda it: it.name, may_be_cut=True),
    Column("WHEN", lambda it: it.timing, may_be_cut=True),
]
_SCHEDULE: list[Column[Schedule]] = [
    Column("id", lambda it: it.id),
    Column("name", lambda it: it.name),
    Column("state", _state),
    Column("when", lambda it: it.timing),
    Column("cron", lambda it: it.cron),
    Column("time zone", lambda it: it.time_zone if it.cron else None),
    Column("every", lambda it: it.interval_seconds and f"{it.interval_seconds} s"),
    Column("next", lambda it: instant(it.next_fire_at)),
    Column("last", lambda it: instant(it.last_fire_at)),
    Column("missed", lambda it: it.missed_count),
    Column("missed until", lambda it: instant(it.missed_until)),
    Column("overlap", lambda it: it.overlap),
    Column("catch-up", lambda it: f"{it.catch_up_seconds} s"),
    Column("starts", lambda it: instant(it.starts_at)),
    Column("ends", lambda it: instant(it.ends_at)),
    Column("tasks", lambda it: it.template.model_dump_json(exclude_unset=True)),
    Column("revision", lambda it: it.revision),
    Column("created", lambda it: instant(it.created_at)),
    Column("updated", lambda it: instant(it.updated_at)),
]
_FIRES: list[Column[ScheduleFire]] = [
    Column("TIME", lambda it: instant(it.fire_at)),
    Column("OUTCOME", lambda it: it.outcome),
    Column("ORIGIN", lambda it: it.origin),
    Column("TASK", lambda it: it.task_id),
]
_BACKFILL: list[Column[Backfill]] = [
    Column("created", lambda it: it.created),
    Column("existing", lambda it: it.existing),
]
_TIMES: list[Column[_NextTime]] = [Column("AT", lambda it: instant(it.at))]


@app.command("ls")
def list_schedules(output: options.Output = OutputFormat.TABLE, context: options.InContext = None) -> None:
    """List the schedules, oldest first."""
    with client_of(context) as client:
        print_list(client.schedules(), _SCHEDULES, output)


@app.command()
def show(
    schedule_id: _Schedule, output: options.Output = OutputFormat.TABLE, context: options.InContext = None
) -> None:
    """Show a schedule."""
    with client_of(context) as client:
        print_one(client.schedule(schedule_id), _SCHEDULE, output)


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for, for people.")],
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="Names the handler, such as echo.", callback=options.a_name)
    ],
    cron: _Cron = None,
    time_zone: _TimeZone = None,
    every: _Every = None,
    data: _Data = None,
    title: _Title = None,
    queue: _Queue = None,
    priority: _Priority = None,
    label: _Labels = None,
    max_attempts: _MaxAttempts = None,
    timeout: _Timeout = None,
    overlap: _Overlap = None,
    catch_up: _CatchUp = None,
    starts_at: _StartsAt = None,
    ends_at: _EndsAt = None,
    paused: Annotated[bool, typer.Option("--paused", help="Not yet: nothing is made until it is resumed.")] = False,
    key: options.IdempotencyKey = None,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Have a task made at each time of a cron line, or at an interval."""
    if (cron is None) == (every is None):
        raise typer.BadParameter("either --cron, or --every")
    template: Any = {"kind": kind} | _template(data, title, queue, priority, label, max_attempts, timeout)
    given = _timing(cron, time_zone, every, overlap, catch_up, starts_at, ends_at)
    with client_of(context) as client:
        made = client.create_schedule(name, template, is_paused=paused, idempotency_key=key, **given)
        print_one(made, _SCHEDULE, output)


@app.command()
def update(
    schedule_id: _Schedule,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="What it is for, for people.")] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", "-k", metavar="KIND", help="The handler.", callback=options.a_name)
    ] = None,
    cron: _Cron = None,
    time_zone: _TimeZone = None,
    every: _Every = None,
    data: _Data = None,
    title: _Title = None,
    queue: _Queue = None,
    priority: _Priority = None,
    label: _Labels = None,
    max_attempts: _MaxAttempts = None,
    timeout: _Timeout = None,
    overlap: _Overlap = None,
    catch_up: _CatchUp = None,
    starts_at: _StartsAt = None,
    ends_at: _EndsAt = None,
    clear: Annotated[
        list[Clearable] | None,
        typer.Option("--clear", metavar=one_of(Clearable), help="Take this away. May be repeated."),
    ] = None,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Change a schedule; what decides when it fires holds from now on. Objects in the payload merge."""
    template = _template(data, title, queue, priority, label, max_attempts, timeout) | options.chosen(kind=kind)
    changes = options.chosen(name=name, template=template)
    changes |= _timing(cron, time_zone, every, overlap, catch_up, starts_at, ends_at)
    if cron is not None and every is not None:
        raise typer.BadParameter("either --cron, or --every")
    # One takes the place of the other.
    changes |= {"interval_seconds": None} if cron is not None else {}
    changes |= {"cron": None} if every is not None else {}
    both = sorted(changes.keys() & set(clear or []))
    if both:
        raise typer.BadParameter(f"{', '.join(both)}: either a new one, or none", param_hint="--clear")
    changes |= dict.fromkeys(map(str, clear or []))
    if not changes:
        raise typer.BadParameter("say what to change: --cron, --every, --data, …")
    _change(schedule_id, changes, output, context)


@app.command()
def pause(
    schedule_id: _Schedule, output: options.Output = OutputFormat.TABLE, context: options.InContext = None
) -> None:
    """Let its times pass without a task, until it is resumed; they are not made up for."""
    _change(schedule_id, {"is_paused": True}, output, context)


@app.command()
def resume(
    schedule_id: _Schedule, output: options.Output = OutputFormat.TABLE, context: options.InContext = None
) -> None:
    """Have its tasks made again, from now on."""
    _change(schedule_id, {"is_paused": False}, output, context)


@app.command()
def run(
    schedule_id: _Schedule,
    key: options.IdempotencyKey = None,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Make a task of it now, whatever its times and its overlap say."""
    with client_of(context) as client:
        print_one(client.run_schedule(schedule_id, idempotency_key=key), TASK, output)


@app.command()
def backfill(
    schedule_id: _Schedule,
    since: Annotated[str, typer.Option(metavar="TIME", help="From then on: 2026-11-24T00:00:00Z, or -7d.")],
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Before then, given as --since is; if not given: now.")
    ] = None,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Make the tasks of its times of a span of the past that have none; a second time, none is made twice."""
    begin = options.instant(since, "--since")
    end = options.instant(until or "-0s", "--until")
    assert begin is not None  # noqa: S101 -- it was given
    assert end is not None  # noqa: S101
    with client_of(context) as client:
        print_one(client.backfill_schedule(schedule_id, since=begin, until=end), _BACKFILL, output)


@app.command("next")
def next_times(
    schedule_id: _Schedule,
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, max=MAX_NEXT_TIMES, metavar="N", help="How many times.")
    ] = 10,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """Tell when it fires next, in the time zone of this machine."""
    with client_of(context) as client:
        times: Iterable[_NextTime] = [_NextTime(at=at) for at in client.next_times(schedule_id, count=count)]
        print_list(times, _TIMES, output)


@app.command()
def fires(
    schedule_id: _Schedule,
    limit: options.Limit = 50,
    output: options.Output = OutputFormat.TABLE,
    context: options.InContext = None,
) -> None:
    """List what became of its times, newest first."""
    with client_of(context) as client:
        found = client.fires(schedule_id)
        print_list(islice(found, limit) if limit else found, _FIRES, output)


@app.command()
def delete(schedule_id: _Schedule, context: options.InContext = None) -> None:
    """Delete a schedule; its tasks stay."""
    with client_of(context) as client:
        client.delete_schedule(schedule_id)


def _template(
    data: str | None,
    title: str | None,
    queue: str | None,
    priority: Priority | None,
    label: list[str] | None,
    max_attempts: int | None,
    timeout: float | None,
) -> Any:
    given = options.chosen(
        title=title,
        queue=queue,
        priority=priority,
        labels=options.labels_given(label),
        max_attempts=max_attempts,
        timeout_seconds=timeout,
    )
    return given if data is None else {"payload": read_payload(data), **given}


def _timing(
    cron: str | None,
    time_zone: str | None,
    every: int | None,
    overlap: Overlap | None,
    catch_up: int | None,
    starts_at: str | None,
    ends_at: str | None,
) -> Any:
    return options.chosen(
        cron=cron,
        time_zone=time_zone,
        interval_seconds=every,
        overlap=overlap,
        catch_up_seconds=catch_up,
        starts_at=options.instant(starts_at, "--starts-at"),
        ends_at=options.instant(ends_at, "--ends-at"),
    )


def _change(schedule_id: UUID, changes: Any, output: OutputFormat, context: str | None) -> None:
    with client_of(context) as client:
        print_one(client.update_schedule(schedule_id, **changes), _SCHEDULE, output)
