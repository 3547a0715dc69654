"""Structured logs, to standard error: one event a line, with the service's name and what is bound to the context."""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from taskmill.runtime.log_names import add_log_names
from taskmill.runtime.settings import LogSettings

MAX_TRACEBACK_CHARS = 20_000
"""An exception's message may be of any size; a line of the log may not."""


def configure_logging(service: str, settings: LogSettings) -> None:
    """Set up structlog and the standard library's loggers of this process to log in one way.

    Args:
        service: Appears as `service` in every line.
        settings: Level and format.
    """
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]

    def add_service(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        add_log_names,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_service,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_rendering(settings)))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)


def _rendering(settings: LogSettings) -> list[Processor]:
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    wants_console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    if wants_console:
        # Not the default, which prints the values of local variables: secrets among them.
        return [remove_meta, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return [remove_meta, structlog.processors.format_exc_info, _shorten_traceback, structlog.processors.JSONRenderer()]


def _shorten_traceback(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    traceback = event.get("exception", "")
    if len(traceback) > MAX_TRACEBACK_CHARS:
        half = MAX_TRACEBACK_CHARS // 2
        event["exception"] = f"{traceback[:half]}\n…\n{traceback[-half:]}"
    return event
