"""What a handler returned or raised, in the words of the wire."""

from contextlib import suppress
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from taskmill.contracts.errors import InvalidJsonError
from taskmill.contracts.json_text import check_json
from taskmill.contracts.limits import MAX_ERROR_MESSAGE_CHARS, MAX_JSON_DEPTH, MAX_RESULT_BYTES
from taskmill.contracts.tasks import TaskError
from taskmill.processor.errors import BadResultError
from taskmill.sdk import TaskFailedError
from taskmill.sdk.text import storable_text

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


def task_error(error: BaseException) -> TaskError:
    """Describe what a handler raised: the code, the type and the message, never the traceback."""
    if isinstance(error, BadResultError):
        return TaskError(code="bad_result", message=str(error))
    message = storable_text(_message(error), MAX_ERROR_MESSAGE_CHARS)
    if isinstance(error, TaskFailedError):
        with suppress(AttributeError, ValidationError):  # a subclass may have broken what its base class promises
            return TaskError(code=error.code, message=message)
    return TaskError(code="handler_error", type=_type_name(type(error)), message=message)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:
        return "The exception has no readable message."


def _type_name(error_type: type[BaseException]) -> str:
    module = error_type.__module__
    name = error_type.__qualname__ if module == "builtins" else f"{module}.{error_type.__qualname__}"
    return storable_text(name, _MAX_TYPE_CHARS)
