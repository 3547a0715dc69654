"""The logger of a handler: what it writes becomes lines of its task, too."""

import sys
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, cast

import structlog
from structlog.stdlib import PositionalArgumentsFormatter
from structlog.typing import FilteringBoundLogger, Processor, WrappedLogger

from taskmill.contracts.limits import MAX_LINE_CHARS
from taskmill.contracts.tasks import LineLevel
from taskmill.contracts.text import storable_text

# By the name of the logger's method.
_LEVELS = {
    "info": LineLevel.INFO,
    "msg": LineLevel.INFO,
    "warn": LineLevel.WARNING,
    "warning": LineLevel.WARNING,
    "err": LineLevel.ERROR,
    "error": LineLevel.ERROR,
    "exception": LineLevel.ERROR,
    "critical": LineLevel.CRITICAL,
    "fatal": LineLevel.CRITICAL,
}
TASK_ONLY = "_taskmill_task_only"
"""A field that keeps a line, which becomes one of the task, out of the log of the process."""

_NO_FIELDS = {TASK_ONLY, "event", "exc_info", "stack_info", "stacklevel", "positional_args"}

_with_arguments = PositionalArgumentsFormatter()


def task_logger(write: Callable[[LineLevel, str], None], bound: Mapping[str, Any]) -> FilteringBoundLogger:
    """Make a logger.

    Args:
        write: Called with the level and the text of each line, whatever level the process logs at, but not for those
            of `debug`.
        bound: What each line of the process's log says beside what the handler does. A line of the task does not.
    """

    def tell(logger: WrappedLogger, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        level = _LEVELS.get(method)
        if level is not None:
            write(level, _text(logger, method, event, bound))
        if event.pop(TASK_ONLY, False):
            raise structlog.DropEvent
        return event

    # Before all others, for they may drop what the process does not log.
    processors: list[Processor] = [tell, *structlog.get_config()["processors"]]
    logger: FilteringBoundLogger = structlog.wrap_logger(
        None, processors=processors, logger_factory_args=("taskmill.handler",)
    )
    return logger.bind(**bound)


def _text(logger: WrappedLogger, method: str, event: MutableMapping[str, Any], bound: Mapping[str, Any]) -> str:
    """A line as people read it: what happened, then its fields, then what was raised."""
    text = event.get("event", "")
    try:
        told = cast("Mapping[str, Any]", _with_arguments(logger, method, dict(event)))
        fields = [
            f"{name}={_value(value)}"
            for name, value in told.items()
            if name not in _NO_FIELDS and value is not bound.get(name)
        ]
        text = " ".join([str(told.get("event", "")), *fields, *_raised(told.get("exc_info"))])
    except Exception:  # what is logged are the handler's own objects, and a line must not end the attempt
        text = text if isinstance(text, str) else "A line that cannot be written."
    return storable_text(text, MAX_LINE_CHARS)


def _value(value: object) -> str:
    if not isinstance(value, str):
        return repr(value)[:MAX_LINE_CHARS]
    text = value[:MAX_LINE_CHARS]
    return text if text and not any(map(str.isspace, text)) else repr(text)


def _raised(exc_info: object) -> list[str]:
    """Type and message of the exception that a line is about; the process's log has the traceback, too."""
    if exc_info and not isinstance(exc_info, BaseException):
        exc_info = exc_info[1] if isinstance(exc_info, tuple) else sys.exc_info()[1]
    if not isinstance(exc_info, BaseException):
        return []
    return [traceback.format_exception_only(exc_info)[-1].rstrip()]
