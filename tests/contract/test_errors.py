"""Error codes are part of the contract: clients branch on them."""

import inspect
from collections.abc import Callable
from uuid import UUID

import pytest

from taskmill.contracts import errors
from taskmill.contracts.errors import (
    Problem,
    QueueFullError,
    RemoteError,
    TaskmillError,
    TooManyReplaysError,
    UnavailableError,
    error_codes,
)

CODES = {
    "already_finished",
    "bulk_operation_not_found",
    "bus_unavailable",
    "database_unavailable",
    "delivery_not_found",
    "field_not_editable",
    "idempotency_key_reused",
    "illegal_transition",
    "internal_error",
    "invalid_json",
    "invalid_request",
    "overloaded",
    "payload_too_large",
    "processor_not_found",
    "queue_full",
    "group_not_found",
    "queue_not_found",
    "replay_not_found",
    "revision_mismatch",
    "run_active",
    "store_unavailable",
    "task_exists",
    "task_not_found",
    "too_many_queues",
    "too_many_replays",
    "too_many_webhooks",
    "webhook_not_found",
    "api_key_not_found",
    "too_many_api_keys",
    "limit_not_found",
    "share_not_found",
    "too_many_limits",
    "too_many_shares",
    "schedule_not_found",
    "too_many_schedules",
    "unique_key_held",
}

ARGUMENTS: dict[str, tuple[object, ...]] = {
    "illegal_transition": ("pending", "failed"),
    "payload_too_large": ("payload", 5),
    "queue_full": ("default", 5),
    "task_exists": (UUID(int=1),),
    "too_many_api_keys": (1000,),
    "too_many_limits": (64,),
    "too_many_shares": (10_000,),
    "too_many_queues": (64,),
    "too_many_replays": (16,),
    "too_many_schedules": (1000,),
    "too_many_webhooks": (100,),
    "unique_key_held": (UUID(int=1),),
}


def test_the_codes_are_these() -> None:
    """One is never renamed or given another meaning; a new one is added here."""
    assert error_codes().keys() == CODES


def test_the_tree_in_the_module_is_the_tree_of_the_classes() -> None:
    """Its documentation has every error with its code, and no other."""
    tree = inspect.getdoc(errors) or ""
    for code, error in error_codes().items():
        [line] = [line for line in tree.splitlines() if f" {error.__name__} " in line]
        assert line.split(error.__name__)[1].split(";")[0].strip() == code


@pytest.mark.parametrize("code", sorted(CODES))
def test_an_error_survives_the_way_over_the_bus(code: str) -> None:
    """Code, detail, parts and the time to wait arrive as they were sent."""
    make: Callable[..., TaskmillError] = error_codes()[code]
    sent = make(*ARGUMENTS.get(code, ())).problem()
    received = RemoteError(Problem.model_validate_json(sent.model_dump_json())).problem()
    assert received == sent
    assert received.code == code
    assert received.detail


@pytest.mark.parametrize("code", sorted(CODES))
def test_only_what_may_succeed_later_says_when(code: str) -> None:
    """A time to wait is told for what is nobody's fault, and for what has no room now."""
    error = error_codes()[code]
    may_succeed_later = issubclass(error, UnavailableError | QueueFullError | TooManyReplaysError)
    assert (error.retry_after_seconds is not None) == may_succeed_later
