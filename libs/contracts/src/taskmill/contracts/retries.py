"""When a failed attempt is followed by another, and how long after: for the store, and for tests without one."""

from collections.abc import Callable

from taskmill.contracts.tasks import RetryBackoff

DEFAULT_ATTEMPTS = 1
"""Attempts in a run at most, when neither the task nor its kind says."""

DEFAULT_BACKOFF = RetryBackoff()
"""The waits, when neither the task nor its kind says."""


def last_attempt(first_attempt: int, max_attempts: int | None) -> int:
    """The number of the last attempt that a run may come to.

    Args:
        first_attempt: The number of its first one.
        max_attempts: How many it has at most; None: neither the task nor its kind says.
    """
    return first_attempt - 1 + (max_attempts or DEFAULT_ATTEMPTS)


def is_last_failure(attempt: int, attempt_limit: int, *, is_final: bool, is_to_be_cancelled: bool) -> bool:
    """Whether the run is over when an attempt has failed.

    Args:
        attempt: Its number.
        attempt_limit: The number of the last attempt that the run may come to.
        is_final: Whether the handler says that another attempt is of no use.
        is_to_be_cancelled: Whether a client has asked to cancel the task.
    """
    return is_final or attempt >= attempt_limit or is_to_be_cancelled


def retry_wait_seconds(backoff: RetryBackoff, retries_before: int, random: Callable[[], float]) -> float:
    """How long a task waits for its next attempt, in seconds.

    Args:
        backoff: How its waits grow.
        retries_before: How many attempts of the run there were before the one that failed.
        random: Returns a number from 0 to 1; it takes up to the share `jitter` off the wait.
    """
    seconds = min(backoff.cap_seconds, backoff.base_seconds * backoff.factor**retries_before)
    return seconds * (1 - backoff.jitter * random())
