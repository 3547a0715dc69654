"""The entry of a service's process."""

import asyncio
import gc
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
import uvloop

from taskmill.runtime.errors import SettingsError, StartError
from taskmill.runtime.settings import ProcessSettings, load
from taskmill.runtime.supervisor import Supervisor
from taskmill.runtime.telemetry import configure_logging
from taskmill.runtime.tracing import traced

_log = structlog.get_logger(__name__)

OBJECTS_BEFORE_COLLECTION = 10_000
"""A batch makes thousands of objects and drops them all. With Python's own 700 the collector looks through them again
and again: while tasks came in batches, that was a quarter of the task store's CPU time."""

EXIT_WITHIN_SECONDS = 2.0
"""How long what was left behind may keep the process once all actors are gone: a task that swallows its cancellation,
a thread of asyncio's pool. Python would wait for them for ever; what must not be lost is stored by then."""

EXIT_DRAINED = 0
EXIT_START_FAILED = 1
EXIT_BAD_SETTINGS = 2
EXIT_INTERRUPTED = 130

SettingsT = TypeVar("SettingsT", bound=ProcessSettings)


def run_service(
    service: str,
    settings_class: type[SettingsT],
    build: Callable[[SettingsT], Awaitable[Supervisor]],
) -> int:
    """Run one service until it has drained; what every `__main__` calls.

    Args:
        service: The service's name, as in `task-store`.
        settings_class: Read from the environment and `.env`.
        build: The service's composition root, called inside the event loop. It may raise `StartError`, or
            `SettingsError` for a setting that can only be judged there.

    Returns:
        The process's exit code: 0 after a drain, 1 when the service could not start, 2 when its settings are wrong,
            130 when it was interrupted before it could drain.
    """
    try:
        settings = load(settings_class)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_BAD_SETTINGS
    configure_logging(service, settings)
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION)

    async def serve() -> None:
        supervisor = await build(settings)
        _spare_what_stays()
        try:
            await supervisor.run()
        except StartError:
            _exit_soon(EXIT_START_FAILED)
            raise
        _exit_soon(EXIT_DRAINED)

    try:
        with traced(service, settings), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())
    except SettingsError as error:
        # For the person who has just started it, as what is wrong with any other setting.
        sys.stderr.write(f"taskmill: {error}\n")
        return EXIT_BAD_SETTINGS
    except StartError as error:
        _log.error("service.start_failed", reason=str(error))
        return EXIT_START_FAILED
    except KeyboardInterrupt:  # before the supervisor took over the signals
        return EXIT_INTERRUPTED
    return EXIT_DRAINED


def _spare_what_stays() -> None:
    """Have the collector leave alone what is there now: modules, classes, models, the actors.

    It stays as long as the process. To look through all of it stops a task store and a gateway for 50 to 60 ms, and a
    processor for 25. That comes seldom, but may come among the first tasks: when a quarter as much as there was is new.
    """
    gc.collect()
    gc.freeze()


def _exit_soon(status: int) -> None:
    """End the process, whatever keeps it, unless it ends by itself."""

    def exit_now() -> None:
        _log.error("service.held_up", within_seconds=EXIT_WITHIN_SECONDS)
        sys.stderr.flush()
        os._exit(status)

    timer = threading.Timer(EXIT_WITHIN_SECONDS, exit_now)
    timer.daemon = True
    timer.start()
