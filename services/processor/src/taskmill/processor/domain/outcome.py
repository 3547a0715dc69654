"""How an attempt failed, as a report."""

from datetime import datetime

from taskmill.contracts.reports import Failed
from taskmill.contracts.tasks import TaskError
from taskmill.processor.domain.held_attempt import HeldAttempt, StopReason
from taskmill.sdk.outcome import Failure, failure_of, traceback_text


def attempt_failure(
    attempt: HeldAttempt,
    error: BaseException | None,
    started_at: datetime,
    finished_at: datetime,
    *,
    give_up: tuple[type[Exception], ...] = (),
) -> Failed:
    """Describe how an attempt failed. The traceback is for the handler's developer: without one it is no defect.

    Args:
        attempt: What failed. Once its time is over it has timed out, whatever its handler returns or raises then.
        error: What the handler raised, or what is wrong with its result; None: neither, it has timed out.
        started_at: When its handler was about to be called.
        finished_at: When it had ended.
        give_up: Exceptions after which the handler wants no other attempt.
    """
    if attempt.stop_reason is StopReason.TIMED_OUT or error is None:
        # What it raised when it was stopped shows where it was.
        failure = Failure(
            TaskError(code="timeout", message=f"The handler did not end within {attempt.allowed_seconds:g} s."),
            None if error is None else traceback_text(error),
        )
    else:
        failure = failure_of(error, give_up=give_up)
    return attempt.report(
        Failed,
        started_at=started_at,
        finished_at=finished_at,
        error=failure.error,
        traceback=failure.traceback,
        is_final=failure.is_final,
        retry_after_seconds=failure.retry_after_seconds,
    )
