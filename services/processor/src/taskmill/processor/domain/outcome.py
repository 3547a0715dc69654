"""What a handler returned or raised, in the words of the wire."""

import traceback
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from taskmill.contracts.errors import InvalidJsonError
from taskmill.contracts.json_text import check_json
from taskmill.contracts.limits import (
    MAX_ERROR_MESSAGE_CHARS,
    MAX_JSON_DEPTH,
    MAX_RESULT_BYTES,
    MAX_TRACEBACK_CHARS,
)
from taskmill.contracts.reports import Failed
from taskmill.contracts.tasks import TaskError
from taskmill.contracts.text import storable_text
from taskmill.processor.domain.held_attempt import HeldAttempt, StopReason
from taskmill.processor.errors import BadResultError
from taskmill.sdk.errors import TaskFailedError

_MAX_TYPE_CHARS = 200


def result_json(result: Any) -> bytes:
    """Write down what a handler returned.

    Beside plain JSON values, what pydantic knows how to write is taken: datetimes, UUIDs, dataclasses, models.

    Returns:
        Compact UTF-8 JSON of at most `MAX_RESULT_BYTES`.

    Raises:
        BadResultError: It cannot be kept exactly as JSON, or is too large.
    """
    try:
        text = to_json(result, inf_nan_mode="constants")
        check_json(text, max_depth=MAX_JSON_DEPTH)
    except InvalidJsonError as error:
        raise BadResultError(f"The result cannot be kept exactly as JSON. {error}") from error
    except Exception as error:  # a result may be any object, whose own code may raise anything when it is written
        raise BadResultError("It cannot be written as JSON.") from error
    if len(text) > MAX_RESULT_BYTES:
        raise BadResultError(f"It is larger than {MAX_RESULT_BYTES} bytes as compact JSON.")
    return text


def attempt_failure(
    attempt: HeldAttempt, error: BaseException | None, started_at: datetime, finished_at: datetime
) -> Failed:
    """Describe how an attempt failed. The traceback is for the handler's developer: without one it is no defect.

    Args:
        attempt: What failed. Once its time is over it has timed out, whatever its handler returns or raises then.
        error: What the handler raised, or what is wrong with its result; None: neither, it has timed out.
        started_at: When its handler was about to be called.
        finished_at: When it had ended.
    """
    failed = partial(attempt.report, Failed, started_at=started_at, finished_at=finished_at)
    if attempt.stop_reason is StopReason.TIMED_OUT or error is None:
        message = f"The handler did not end within {attempt.work_item.timeout_seconds:g} s."
        # What it raised when it was stopped shows where it was.
        place = None if error is None else _traceback_text(error)
        return failed(error=TaskError(code="timeout", message=message), traceback=place)
    if isinstance(error, BadResultError):
        # The work is done; to do it again would most likely come to the same result.
        return failed(error=TaskError(code="bad_result", message=str(error)), is_final=True)
    message = storable_text(_message(error), MAX_ERROR_MESSAGE_CHARS)
    if isinstance(error, TaskFailedError):
        # A subclass may have broken what its base class promises: then it is an error like any other.
        with suppress(AttributeError, ValidationError):
            # A failure that the handler told on purpose is no defect, so its traceback would only be noise.
            told = TaskError(code=error.code, message=message)
            return failed(error=told, is_final=error.is_final, retry_after_seconds=error.retry_after_seconds)
    told = TaskError(code="handler_error", type=_type_name(type(error)), message=message)
    return failed(error=told, traceback=_traceback_text(error))


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:
        return "The exception has no readable message."


def _traceback_text(error: BaseException) -> str | None:
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:  # notes and causes are the user's objects
        return None
    # The end says what was raised and where; what led there is cut.
    return storable_text(text[-MAX_TRACEBACK_CHARS:], MAX_TRACEBACK_CHARS)


def _type_name(error_type: type[BaseException]) -> str:
    module = error_type.__module__
    name = error_type.__qualname__ if module == "builtins" else f"{module}.{error_type.__qualname__}"
    return storable_text(name, _MAX_TYPE_CHARS)
