"""What a handler returned or raised, in the words of the wire."""

import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from taskmill.contracts.errors import InvalidJsonError
from taskmill.contracts.json_text import check_json
from taskmill.contracts.limits import (
    MAX_BACKOFF_SECONDS,
    MAX_ERROR_MESSAGE_CHARS,
    MAX_JSON_DEPTH,
    MAX_RESULT_BYTES,
    MAX_TRACEBACK_CHARS,
)
from taskmill.contracts.tasks import TaskError
from taskmill.contracts.text import storable_text
from taskmill.sdk.errors import BadResultError, NotNow, TaskFailedError

_MAX_TYPE_CHARS = 200
_WAIT = TypeAdapter(Annotated[float, Field(ge=0, le=MAX_BACKOFF_SECONDS)])


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt failed.

    Attributes:
        error: What everybody may see.
        traceback: For the handler's developer; None: it is no defect.
        is_final: Whether another attempt would be of no use.
        retry_after_seconds: The wait that the handler asks for; None: as the backoff says.
    """

    error: TaskError
    traceback: str | None = None
    is_final: bool = False
    retry_after_seconds: float | None = None


class FailedElsewhere(Exception):  # noqa: N818 -- it carries a failure, whatever raised it
    """A handler failed in a process of its own.

    Args:
        failure: How.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error.message)
        self.failure = failure


def result_json(result: object) -> bytes:
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
    except PydanticSerializationError as error:
        # It names the type, such as that of a coroutine which nobody has awaited.
        raise BadResultError(f"It cannot be written as JSON: {error}.") from error
    except Exception as error:  # a result may be any object, whose own code may raise anything when it is written
        raise BadResultError("It cannot be written as JSON.") from error
    if len(text) > MAX_RESULT_BYTES:
        raise BadResultError(f"It is larger than {MAX_RESULT_BYTES} bytes as compact JSON.")
    return text


def put_off_seconds(error: NotNow) -> float | None:
    """For how long a handler puts its task off; None: a subclass says none, and so is an error like any other."""
    with suppress(AttributeError, ValidationError):
        return _WAIT.validate_python(error.after_seconds)
    return None


def failure_of(error: BaseException, *, give_up: tuple[type[Exception], ...] = ()) -> Failure:
    """Describe what a handler raised, or what is wrong with its result. Whatever that is, it raises nothing itself.

    Args:
        error: What was raised.
        give_up: Exceptions after which another attempt is of no use.
    """
    try:
        return _failure_of(error, give_up)
    except Exception:  # the user's classes may do anything, but an attempt whose end is not told would never end
        return Failure(TaskError(code="handler_error", message="The exception cannot be described."))


def _failure_of(error: BaseException, give_up: tuple[type[Exception], ...]) -> Failure:
    if isinstance(error, FailedElsewhere):
        return error.failure
    if isinstance(error, BadResultError):
        # The work is done; to do it again would most likely come to the same result.
        return Failure(
            TaskError(code="bad_result", message=storable_text(str(error), MAX_ERROR_MESSAGE_CHARS)), is_final=True
        )
    message = storable_text(_message(error), MAX_ERROR_MESSAGE_CHARS)
    is_final = isinstance(error, give_up)
    if isinstance(error, TaskFailedError):
        # A subclass may have broken what its base class promises: then it is an error like any other.
        with suppress(AttributeError, ValidationError):
            # A failure that the handler told on purpose is no defect, so its traceback would only be noise.
            told = TaskError(code=error.code, message=message)
            wait = None if error.retry_after_seconds is None else _WAIT.validate_python(error.retry_after_seconds)
            return Failure(told, is_final=bool(error.is_final) or is_final, retry_after_seconds=wait)
    told = TaskError(code="handler_error", type=_type_name(type(error)), message=message)
    return Failure(told, traceback_text(error), is_final)


def traceback_text(error: BaseException) -> str | None:
    """The end of an exception's traceback; None: it cannot be written."""
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:  # notes and causes are the user's objects
        return None
    # The end says what was raised and where; what led there is cut.
    return storable_text(text[-MAX_TRACEBACK_CHARS:], MAX_TRACEBACK_CHARS)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:
        return "The exception has no readable message."


def _type_name(error_type: type[BaseException]) -> str:
    module = error_type.__module__
    name = error_type.__qualname__ if module == "builtins" else f"{module}.{error_type.__qualname__}"
    return storable_text(name, _MAX_TYPE_CHARS)
