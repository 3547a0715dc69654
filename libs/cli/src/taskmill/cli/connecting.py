"""Which gateway a command talks to, and a client of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import stamina.instrumentation
import typer

from taskmill.cli.contexts import contexts_file, read_contexts
from taskmill.cli.output import say
from taskmill.sdk.client import Client, NoAnswerError
from taskmill.sdk.client.connection import DEFAULT_URL

RETRY_WITHIN_SECONDS = 5.0
"""Somebody may sit and wait: not as long as a program would."""

_WORTH_TELLING_SECONDS = 0.5
"""Who waits for longer before the next attempt is told why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A gateway."""

    url: str
    api_key: str | None = field(repr=False)
    """None: what TASKMILL_API_KEY says, or else none is sent."""
    origin: str
    """What says that it is this one, for people."""


class GatewayUnreachableError(Exception):
    """Nobody answers where the gateway should be."""

    def __init__(self, target: Target, error: NoAnswerError) -> None:
        doubt = " The request may have been carried out." if error.was_sent else ""
        reason = error.reason.rstrip(".")
        super().__init__(
            f"no answer from {target.url} ({target.origin}): {reason}.{doubt}\n"
            "Is it another address? Set TASKMILL_URL, or name it: taskmill context add NAME URL --use\n"
            "Is none there? Start one on this machine: taskmill up"
        )


def find_target(context: str | None) -> Target:
    """Find out which gateway is meant.

    The option `--context` comes first, then TASKMILL_URL, TASKMILL_CONTEXT, the context in use, and the address where
    `taskmill up` listens.

    Args:
        context: What the option says; None: it was not given.

    Raises:
        ContextError: No context has that name, or there is something wrong with the file.
    """
    if context is None and (url := os.environ.get("TASKMILL_URL")):
        return Target(url, None, "TASKMILL_URL")
    contexts = read_contexts(contexts_file())
    name = context or os.environ.get("TASKMILL_CONTEXT") or contexts.in_use
    if name is None:
        return Target(DEFAULT_URL, None, "the default")
    named = contexts.named(name)
    api_key = None if named.api_key is None else named.api_key.get_secret_value()
    return Target(named.url, api_key, f"context {name}")


@contextmanager
def client_of(context: str | None, *, retry_within_seconds: float = RETRY_WITHIN_SECONDS) -> Iterator[Client]:
    """A client of the gateway that is meant.

    Raises:
        ContextError: No context has that name, or there is something wrong with the file.
        GatewayUnreachableError: Nobody answers there.
    """
    target = find_target(context)
    stamina.instrumentation.set_on_retry_hooks([_tell])
    try:
        client = Client(target.url, api_key=target.api_key, retry_within_seconds=retry_within_seconds)
    except ValueError as error:
        raise typer.BadParameter(f"{target.url} ({target.origin}) cannot be asked: {error}") from error
    with client:
        try:
            yield client
        except NoAnswerError as error:
            raise GatewayUnreachableError(target, error) from error


def _tell(details: stamina.instrumentation.RetryDetails) -> None:
    if details.wait_for >= _WORTH_TELLING_SECONDS:
        say(f"{str(details.caused_by).rstrip('.')}; again in {details.wait_for:.1f} s")
