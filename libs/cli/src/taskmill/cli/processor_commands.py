"""`taskmill processor ...`."""

import asyncio
import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from taskmill.cli.exit_codes import ExitCode
from taskmill.cli.options import a_name
from taskmill.cli.output import say
from taskmill.cli.registry import NAME, new_app

app = new_app("Run a processor of its own, beside those of `taskmill up`.")

_Concurrency = Annotated[
    int | None,
    typer.Option(
        "--concurrency",
        "--slots",
        min=1,
        max=10_000,
        metavar="N",
        help="How many handlers run at once (TASKMILL_SLOTS; 100).",
    ),
]


def _are_names(given: str | None) -> str | None:
    """Check names that stand between commas, and tell which one is none."""
    a_name([name.strip() for name in (given or "").split(",") if name.strip()])
    return given


@app.command("run")
def run(
    apps: Annotated[list[str], typer.Argument(metavar="MODULE:APP...", help="Where the handlers are.")],
    queues: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="The queues to serve (TASKMILL_QUEUES; default, webhooks, and the apps' own).",
            callback=_are_names,
        ),
    ] = None,
    concurrency: _Concurrency = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Start it anew whenever Python files change, here or where the apps are.")
    ] = False,
) -> None:
    """Run handlers until SIGTERM or Ctrl-C, as `python -m taskmill.processor` does.

    With --watch it drains before it is started anew, as it does in the end: handlers that run have their time
    (TASKMILL_GRACE_SECONDS). A module that cannot be imported is tried again at the next change.
    """
    _require_processor()
    options = [part for location in apps for part in ("--app", location)]
    if queues is not None:
        options += ["--queues", queues]
    if concurrency is not None:
        options += ["--slots", str(concurrency)]
    _tell_nats()
    if watch:
        raise typer.Exit(_run_watched(apps, options))
    # In place of this process, so that nothing of the command line stays in its memory.
    os.execv(sys.executable, [sys.executable, "-m", "taskmill.processor", *options])  # noqa: S606 (our own module)


@app.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def execute(
    command: Annotated[
        list[str], typer.Argument(metavar="PROGRAM [ARGUMENTS]...", help="What does the work, with its arguments.")
    ],
    kind: Annotated[str, typer.Option(metavar="KIND", help="The kind of the tasks that it does.")],
    queue: Annotated[str, typer.Option(metavar="QUEUE", help="Where they wait: the queue to serve.")] = "default",
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="For an attempt; without it: for ever.")
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="N", help="How many programs run at once.")
    ] = 1,
    attempts: Annotated[int, typer.Option(metavar="N", help="Attempts at most, 1 to 100.")] = 1,
) -> None:
    """Run a program for each task of a kind, until SIGTERM or Ctrl-C.

    It gets the payload as JSON on stdin. What it prints is the result; lines on stderr are lines of the task, and
    `taskmill: progress 0.5 half way` tells how far it is. Exit status 0: done; 65: give up; 75: retry later; any other:
    the attempt failed. docs/handlers.md has the rest.
    """
    _require_processor()
    # Here, because `taskmill up` starts sooner without them.
    from taskmill.processor.bootstrap import build_processor  # noqa: PLC0415
    from taskmill.processor.settings import ProcessorSettings  # noqa: PLC0415
    from taskmill.runtime.errors import SettingsError  # noqa: PLC0415
    from taskmill.runtime.service import run_service  # noqa: PLC0415
    from taskmill.runtime.supervisor import Supervisor  # noqa: PLC0415
    from taskmill.sdk import Retry, TaskApp  # noqa: PLC0415
    from taskmill.sdk.errors import RegistrationError, SdkError  # noqa: PLC0415
    from taskmill.sdk.program import Program  # noqa: PLC0415

    if shutil.which(command[0]) is None:
        raise typer.BadParameter(f"{command[0]!r} is no program here", param_hint="PROGRAM")
    programs = TaskApp(Path(command[0]).name)
    try:
        programs.task(kind, queue=queue, timeout=timeout, retry=Retry(attempts=attempts))(Program(command))
    except RegistrationError as error:
        raise typer.BadParameter(str(error)) from None

    async def build(settings: ProcessorSettings) -> Supervisor:
        try:
            return build_processor(settings, [programs])
        except SdkError as error:
            raise SettingsError(str(error)) from error

    _tell_nats()
    # As its own process, it takes its settings from the environment.
    os.environ.update({"TASKMILL_QUEUES": queue, "TASKMILL_SLOTS": str(concurrency)})
    raise typer.Exit(run_service("processor", ProcessorSettings, build))


def _run_watched(apps: list[str], options: list[str]) -> int:
    # Here, because nothing else needs them.
    from taskmill.cli.watched_processor import END_MARGIN_SECONDS, WatchedProcessor, watched_paths  # noqa: PLC0415
    from taskmill.processor.settings import ProcessorSettings  # noqa: PLC0415
    from taskmill.runtime.errors import SettingsError  # noqa: PLC0415
    from taskmill.runtime.settings import load  # noqa: PLC0415

    try:
        grace_seconds = load(ProcessorSettings).grace_seconds
    except SettingsError as error:
        typer.echo(str(error), err=True)
        return ExitCode.USAGE

    async def run_watched() -> int:
        paths = watched_paths(apps, Path.cwd())
        processor = WatchedProcessor(options, paths, end_within_seconds=grace_seconds + END_MARGIN_SECONDS)
        return await processor.run()

    return asyncio.run(run_watched())


def _require_processor() -> None:
    """Say what to install where there is only the client's side of Taskmill."""
    if importlib.util.find_spec("taskmill.processor") is None:
        typer.echo("taskmill: there is no processor here: pip install 'taskmill[server]'", err=True)
        raise typer.Exit(2)


def _tell_nats() -> None:
    """Find out which NATS is joined, say so, and have the processor join that."""
    from taskmill.cli.nats_address import find_nats, without_credentials  # noqa: PLC0415 -- only for these two

    nats = find_nats()
    os.environ["TASKMILL_NATS_URL"] = nats.url
    say(f"{NAME}: NATS at {without_credentials(nats.url)} ({nats.origin})")
