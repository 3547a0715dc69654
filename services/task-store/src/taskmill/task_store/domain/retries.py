"""How often an attempt is made, and how long a task waits in between: what it says, or its kind, or else Taskmill."""

from collections.abc import Callable
from datetime import timedelta

from taskmill.contracts.retries import DEFAULT_ATTEMPTS, DEFAULT_BACKOFF, last_attempt, retry_wait_seconds
from taskmill.contracts.tasks import KindDefaults, RetryBackoff
from taskmill.task_store.domain.state import TaskState

NO_DEFAULTS = KindDefaults()
"""What holds for a kind that declares nothing."""


def max_attempts(state: TaskState, defaults: KindDefaults) -> int:
    """How many attempts a run of a task has at most."""
    return state.max_attempts or defaults.max_attempts or DEFAULT_ATTEMPTS


def attempt_limit(state: TaskState, defaults: KindDefaults) -> int:
    """The number of the last attempt that the run of a task may come to, as its kind declares by now.

    When the run began, no processor may have been heard of that knows the kind. What the task says itself stays.
    """
    if state.max_attempts is not None or defaults.max_attempts is None or not state.first_attempt:
        return state.attempt_limit
    return last_attempt(state.first_attempt, defaults.max_attempts)


def retry_wait(state: TaskState, defaults: KindDefaults, random: Callable[[], float]) -> timedelta:
    """How long a task waits after its newest attempt has failed.

    Args:
        state: The task, at that attempt.
        defaults: What its kind declares.
        random: Returns a number from 0 to 1; it takes up to the share `jitter` off the wait.
    """
    if state.backoff is None:
        backoff = defaults.backoff or DEFAULT_BACKOFF
    else:
        backoff = RetryBackoff.model_validate_json(state.backoff)
    if state.first_attempt:
        retries_before = state.attempt - state.first_attempt
    else:
        # The kind may declare something else by now than when the run began.
        retries_before = max(0, max_attempts(state, defaults) - 1 - (state.attempt_limit - state.attempt))
    return timedelta(seconds=retry_wait_seconds(backoff, retries_before, random))
