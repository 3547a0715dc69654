"""The `taskmill` command."""

import sys
from difflib import get_close_matches
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from taskmill.cli import registry
from taskmill.cli.exit_codes import ExitCode
from taskmill.cli.standard_streams import end_of_output, open_closed_streams, readers_may_leave

_PYDANTIC_PREFIX = "Value error, "


class _Commands(TyperGroup):
    """The commands of the registry, each loaded when it is called; what they raise becomes a text and an exit code.

    The context that its methods are given is typer's own, which is not public.
    """

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Every name."""
        return list(registry.ENTRIES)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | TyperGroup | None:  # noqa: ARG002
        """Load one."""
        if cmd_name not in self.commands and (command := registry.load(cmd_name)) is not None:
            self.commands[cmd_name] = command
        return self.commands.get(cmd_name)  # type: ignore[return-value]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is called; of one that is none say which may be meant."""
        similar = get_close_matches(args[0], registry.ENTRIES)
        if args[0] not in registry.ENTRIES and similar:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {' or '.join(map(repr, similar))}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """List them without loading any."""
        for title, entries in registry.SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.summary) for name, entry in entries.items()])

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run it as a process of its own, whatever its standard streams are."""
        open_closed_streams()
        try:
            return super().main(*arguments, **options)
        except SystemExit as end:
            sys.exit(end_of_output(end.code if isinstance(end.code, int) else ExitCode.OK))

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Read the command line so far as it is not the command's own."""
        with readers_may_leave():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that is called."""
        try:
            with readers_may_leave():
                result = super().invoke(ctx)
                sys.stdout.flush()
        except (typer.Exit, typer.Abort):
            raise
        except typer.TyperException as error:
            error.message = error.message.replace(_PYDANTIC_PREFIX, "")
            raise
        except Exception as error:
            # Here, because most calls do without: the errors of the client bring its libraries.
            from taskmill.cli.failures import explain  # noqa: PLC0415
            from taskmill.cli.output import say  # noqa: PLC0415

            failure = explain(error)
            if failure is None:
                raise
            say(f"{registry.NAME}: {failure.text}")
            raise typer.Exit(failure.code) from None
        return result


app = typer.Typer(
    cls=_Commands,
    name=registry.NAME,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Taskmill: have work done in the background, and see what becomes of it.",
    epilog="Where the gateway is: --context, else TASKMILL_URL, else TASKMILL_CONTEXT, else the context in use, else "
    "http://127.0.0.1:8000. Exit codes are in docs/cli.md.",
)


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version, and end.", is_eager=True),
) -> None:
    """Print the version, if that is wanted."""
    if version:
        from importlib.metadata import version as installed  # noqa: PLC0415 -- only then

        typer.echo(installed("taskmill-cli"))
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit(ExitCode.USAGE)
