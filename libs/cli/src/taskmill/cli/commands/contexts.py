"""`taskmill context …`."""

import sys
from typing import Annotated, NamedTuple

import httpx
import typer
from pydantic import SecretStr

from taskmill.cli import options
from taskmill.cli.connecting import find_target
from taskmill.cli.contexts import Context, changed_contexts, contexts_file, is_name, read_contexts
from taskmill.cli.output import Column, OutputFormat, print_list, print_one, say
from taskmill.cli.registry import new_app

app = new_app("Name gateways, and choose the one to talk to.")

_NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The context's name.")]


class _Shown(NamedTuple):
    """A context without its key."""

    name: str
    url: str
    has_api_key: bool
    in_use: bool


class _Target(NamedTuple):
    """Where commands go."""

    url: str
    has_api_key: bool
    origin: str


_CONTEXTS: list[Column[_Shown]] = [
    Column("NAME", lambda context: context.name),
    Column("IN USE", lambda context: "*" if context.in_use else ""),
    Column("KEY", lambda context: "yes" if context.has_api_key else "no"),
    Column("URL", lambda context: context.url),
]
_TARGET: list[Column[_Target]] = [
    Column("url", lambda target: target.url),
    Column("key", lambda target: "yes" if target.has_api_key else "no"),
    Column("because of", lambda target: target.origin),
]


@app.command("ls")
def list_contexts(output: options.Output = OutputFormat.TABLE) -> None:
    """List the contexts, by name; keys are not shown."""
    contexts = read_contexts(contexts_file())
    shown = [
        _Shown(name, context.url, context.api_key is not None, name == contexts.in_use)
        for name, context in sorted(contexts.contexts.items())
    ]
    print_list(shown, _CONTEXTS, output, document=lambda context: context._asdict())


@app.command()
def add(
    name: _NameArgument,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where the gateway is, as https://tasks.example.org")],
    api_key: Annotated[
        str | None,
        typer.Option("--api-key", metavar="KEY|-", help="Its key; -: read from stdin, so that nobody else sees it."),
    ] = None,
    use: Annotated[bool, typer.Option("--use", help="Use it from now on.")] = False,
) -> None:
    """Give a gateway a name, or the name another gateway. The file is one that only you may read."""
    if not is_name(name):
        raise typer.BadParameter("letters, digits, '.', '_' and '-', 64 at most", param_hint="NAME")
    if not _is_address(url):
        raise typer.BadParameter("it begins with http:// or https://, and names a host", param_hint="URL")
    key = sys.stdin.readline().strip() if api_key == "-" else api_key
    with changed_contexts(contexts_file()) as contexts:
        contexts.contexts[name] = Context(url=url, api_key=SecretStr(key) if key else None)
        if use:
            contexts.in_use = name
    say(f"{name} is in {contexts_file()}" + (", and in use" if contexts.in_use == name else ""))


@app.command()
def use(name: _NameArgument) -> None:
    """Use a context from now on, unless --context, TASKMILL_URL or TASKMILL_CONTEXT says otherwise."""
    with changed_contexts(contexts_file()) as contexts:
        contexts.named(name)
        contexts.in_use = name
    target = find_target(None)
    if target.origin != f"context {name}":
        say(f"{name} is in use, but {target.origin} beats it.")


@app.command()
def rm(name: _NameArgument) -> None:
    """Forget a context."""
    with changed_contexts(contexts_file()) as contexts:
        contexts.named(name)
        del contexts.contexts[name]
        if contexts.in_use == name:
            contexts.in_use = None


@app.command()
def show(output: options.Output = OutputFormat.TABLE, context: options.InContext = None) -> None:
    """Show which gateway commands go to, and what says so."""
    target = find_target(context)
    shown = _Target(target.url, target.api_key is not None, target.origin)
    print_one(shown, _TARGET, output, document=shown._asdict())


def _is_address(url: str) -> bool:
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    # What can be no part of a host, such as a bracket that is not closed, httpx writes with a `%`; a zone has one, too.
    is_host = bool(parts.host) and ("%" not in parts.host or ":" in parts.host)
    return parts.scheme in {"http", "https"} and is_host
