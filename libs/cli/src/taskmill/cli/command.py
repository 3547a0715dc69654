"""How a command's help is written."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

import typer
from typer.core import TyperCommand


class Command(TyperCommand):
    """A command whose help has arguments as they are typed, without a type behind them, or brackets around them.

    The context that its methods are given is typer's own, which is not public.
    """

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """What stands behind the command's name, as `[OPTIONS] ID...`."""
        arguments = [str(one.metavar) for one in self.params if one.param_type_name == "argument"]
        return [self.options_metavar or "", *arguments]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write what can be given, and what it means."""
        for title, kind in (("Arguments", "argument"), ("Options", "option")):
            described = list(parameters(self, ctx, kind))
            if described:
                with formatter.section(title):
                    formatter.write_dl(described)


class Commands(typer.Typer):
    """Registers commands of that class."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        """Register a function."""
        return super().command(name, **{"cls": Command, **options})


def parameters(command: TyperCommand, context: Any, kind: str) -> Iterator[tuple[str, str]]:
    """The arguments, or the options, of a command: how each is written, and what it means."""
    for parameter in command.get_params(context):
        if parameter.param_type_name != kind:
            continue
        if kind == "argument":
            yield str(parameter.metavar or parameter.name), str(getattr(parameter, "help", None) or "")
        elif (record := parameter.get_help_record(context)) is not None:
            yield record


def one_of(choices: type[StrEnum]) -> str:
    """The values of an option as its help writes them: `a|b|c`."""
    return "|".join(choices)
