"""How the call of a handler ends, and what that means for its attempt."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

from taskmill.contracts.tasks import TaskError
from taskmill.sdk.calling.attempt import CalledAttempt, StopReason
from taskmill.sdk.errors import NotNow
from taskmill.sdk.outcome import Failure, failure_of, put_off_seconds, result_json, traceback_text


@dataclass(frozen=True, slots=True)
class Returned:
    """The handler returned what can be kept."""

    result_json: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed.

    Attributes:
        failure: How.
        cause: What was raised; None: the handler did not end in time, and nothing was.
    """

    failure: Failure
    cause: BaseException | None


@dataclass(frozen=True, slots=True)
class PutOff:
    """The handler wants to be called later, as if it had not been called."""

    after_seconds: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """The handler was stopped, by a client or because the processor ends: `stop_reason` of the attempt says why."""


Ending = Returned | Failed | PutOff | Stopped


async def ending_of(
    call: Awaitable[Any], attempt: CalledAttempt, *, give_up: tuple[type[Exception], ...] = ()
) -> Ending:
    """Wait for the end of a handler, and say how it came out.

    Args:
        call: Resolves to what the handler returns, or raises what it raises.
        attempt: What it is called for. Once its time is over it has timed out, whatever its handler returns then.
        give_up: Exceptions after which the handler wants no other attempt.
    """
    try:
        result = result_json(await call)
    except BaseException as error:
        # What a handler raises when it is stopped comes of that, whatever it is. One that was not stopped and raises
        # CancelledError has cancelled itself, or awaited what was cancelled: a failure like any other.
        if attempt.stop_reason in {StopReason.DRAINING, StopReason.CANCELLED}:
            return Stopped()
        if isinstance(error, NotNow) and attempt.stop_reason is None:
            after_seconds = put_off_seconds(error)
            if after_seconds is not None:
                return PutOff(after_seconds)
        return Failed(attempt_failure(attempt, error, give_up=give_up), error)
    if attempt.stop_reason is StopReason.TIMED_OUT:
        return timed_out(attempt)
    return Returned(result)


def timed_out(attempt: CalledAttempt) -> Failed:
    """How an attempt ends whose handler did not end in time."""
    return Failed(attempt_failure(attempt, None), None)


def attempt_failure(
    attempt: CalledAttempt, error: BaseException | None, *, give_up: tuple[type[Exception], ...] = ()
) -> Failure:
    """Describe how an attempt failed. The traceback is for the handler's developer: without one it is no defect.

    Args:
        attempt: What failed. Once its time is over it has timed out, whatever its handler returns or raises then.
        error: What the handler raised, or what is wrong with its result; None: neither, it has timed out.
        give_up: Exceptions after which the handler wants no other attempt.
    """
    if attempt.stop_reason is StopReason.TIMED_OUT or error is None:
        # What it raised when it was stopped shows where it was.
        return Failure(
            TaskError(code="timeout", message=f"The handler did not end within {attempt.allowed_seconds:g} s."),
            None if error is None else traceback_text(error),
        )
    return failure_of(error, give_up=give_up)
