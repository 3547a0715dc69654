"""`taskmill up`: the whole stack on one machine, in one terminal."""

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import typer

from taskmill.cli.directory_lock import directory_lock
from taskmill.cli.embedded.ports import bind_once
from taskmill.cli.errors import CannotListenError
from taskmill.cli.first_key import provide_key
from taskmill.cli.pid_file import PidFile
from taskmill.cli.settings import StackSettings
from taskmill.cli.stack import DEFAULT_NATS_URL, Stack
from taskmill.gateway.settings import AuthSettings
from taskmill.runtime.settings import load

_ORPHAN_ENDS_WITHIN_SECONDS = 3.0
_PORT_POLLS = 20
_PORT_POLL_SECONDS = 0.1

_READY = """\
taskmill ready at {url}
{others}
Post a task, and it is done in the background:
  curl -s {url}/tasks{credentials} -H 'Content-Type: application/json' \
-d '{{"title": "Say hello", "kind": "echo", "payload": {{"hello": "world"}}, "process": true}}'
Dashboard: {url}/ui
Every operation: {url}/docs
Events for subscribers: {nats_url}, subjects tasks.v1.event.>{nats_user}{nats_place}
The data and the logs are in {data_dir}. Ctrl-C stops everything.
"""

_ANOTHER = "              and at {}\n"
_CREDENTIALS = ' -H "Authorization: Bearer $TASKMILL_API_KEY"'
_AS_READER = ",\n  as the user `reader` with the password TASKMILL_NATS_READER_PASSWORD"
# Another server has the port where subscribers look by themselves.
_NOT_THE_DEFAULT = f"\n  (set it for them as TASKMILL_NATS_URL: {DEFAULT_NATS_URL} was taken)"


async def up(settings: StackSettings, *, key_name: str | None = None) -> None:
    """Run the stack until SIGINT or SIGTERM, which drains and stops it; a second signal ends it at once.

    Args:
        settings: What runs, and where.
        key_name: The name of an API key that is made, and printed, before anything serves; None: none.

    Raises:
        StackError: It could not be started; the message says why.
    """
    data_dir = settings.data.resolve()

    async def prepare(database_url: str) -> None:
        key = await provide_key(database_url, key_name)
        if key is not None:
            typer.echo(f"API key {key_name}, which is shown this once:\n  {key}")

    stack = Stack(settings, data_dir, _warn, prepare)
    running = asyncio.create_task(_run_alone(stack, settings, data_dir))
    _stop_on_signals(running, stack)
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def _run_alone(stack: Stack, settings: StackSettings, data_dir: Path) -> None:
    nats_user = "" if settings.nats_password is None else _AS_READER
    credentials = _CREDENTIALS if load(AuthSettings).needs_credentials else ""

    def ready(nats_url: str, gateway_urls: Sequence[str]) -> None:
        text = _READY.format(
            url=gateway_urls[0],
            others="".join(map(_ANOTHER.format, gateway_urls[1:])),
            credentials=credentials,
            nats_url=nats_url,
            nats_user=nats_user,
            nats_place="" if nats_url == DEFAULT_NATS_URL else _NOT_THE_DEFAULT,
            data_dir=data_dir,
        )
        typer.echo(text, nl=False)

    with directory_lock(data_dir):
        await _end_orphans(data_dir / "run")
        await _check_address(settings.host, settings.port)
        await stack.run(ready)


async def _end_orphans(run_dir: Path) -> None:
    """End the services that a killed launcher left running, as it may where children outlive their parent."""
    await asyncio.gather(
        *(orphan.end_orphan(signal.SIGTERM, _ORPHAN_ENDS_WITHIN_SECONDS) for orphan in PidFile.all_in(run_dir))
    )


async def _check_address(host: str, port: int) -> None:
    """Refuse an address on which the gateway could not listen.

    It is given 2 s to become free: when a launcher is killed, the system ends its gateway a moment later.
    """
    for polls_left in reversed(range(_PORT_POLLS)):
        try:
            bind_once(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or polls_left == 0:
                raise CannotListenError(host, port, error.strerror or "unusable") from error
            await asyncio.sleep(_PORT_POLL_SECONDS)
        else:
            return


def _stop_on_signals(running: asyncio.Task[None], stack: Stack) -> None:
    has_signal = False

    def stop(number: signal.Signals) -> None:
        nonlocal has_signal
        if has_signal:
            stack.abandon()
            # Past every deadline and every `finally`: that is what the second signal asks for.
            os._exit(128 + number)
        has_signal = True
        running.cancel()
        _warn("stopping (once more to end at once)")

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)


def _warn(line: str) -> None:
    # Ctrl-C also ends a `tee` that reads this: nobody hears it then, and what is to be done is done all the same.
    with contextlib.suppress(OSError):
        typer.echo(line, err=True)
