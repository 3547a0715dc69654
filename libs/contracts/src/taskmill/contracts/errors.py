"""The error tree of Taskmill, and its form on the wire.

Every error has a stable `code`, which clients may branch on, and typed fields from which its message is made. Two
questions decide where an error belongs: whose fault is it, and can the same request succeed later?

TaskmillError
├── RequestError                 the caller's fault; repeating it unchanged fails again
│   ├── InvalidRequestError      invalid_request
│   ├── InvalidJsonError         invalid_json
│   ├── PayloadTooLargeError     payload_too_large
│   ├── TaskNotFoundError        task_not_found
│   ├── DeliveryNotFoundError    delivery_not_found
│   ├── BulkOperationNotFoundError bulk_operation_not_found
│   ├── QueueNotFoundError       queue_not_found
│   ├── ProcessorNotFoundError   processor_not_found
│   ├── WebhookNotFoundError     webhook_not_found
│   ├── ReplayNotFoundError      replay_not_found
│   ├── ApiKeyNotFoundError      api_key_not_found
│   ├── LimitNotFoundError       limit_not_found
│   ├── ShareNotFoundError       share_not_found
│   ├── ScheduleNotFoundError    schedule_not_found
│   ├── GroupNotFoundError       group_not_found
│   ├── TaskExistsError          task_exists
│   ├── UniqueKeyHeldError       unique_key_held
│   ├── RunActiveError           run_active
│   ├── AlreadyFinishedError     already_finished
│   ├── IllegalTransitionError   illegal_transition
│   ├── RevisionMismatchError    revision_mismatch
│   ├── IdempotencyKeyReusedError idempotency_key_reused
│   ├── FieldNotEditableError    field_not_editable
│   ├── QueueFullError           queue_full
│   ├── TooManyQueuesError       too_many_queues
│   ├── TooManyWebhooksError     too_many_webhooks
│   ├── TooManyReplaysError      too_many_replays
│   ├── TooManyApiKeysError      too_many_api_keys
│   ├── TooManyLimitsError       too_many_limits
│   ├── TooManySharesError       too_many_shares
│   └── TooManySchedulesError    too_many_schedules
├── UnavailableError             nobody's fault; the same request may succeed later
│   ├── StoreUnavailableError    store_unavailable
│   ├── DatabaseUnavailableError database_unavailable
│   ├── BusUnavailableError      bus_unavailable
│   └── OverloadedError          overloaded
└── InternalError                internal_error; our fault, the details are in the logs only
"""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class FieldProblem(BaseModel):
    """What is wrong with one part of a request. It never repeats the offending value."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pointer: Annotated[
        str, Field(description="JSON Pointer (RFC 6901) to the offending part, or the parameter's name.")
    ]
    detail: Annotated[str, Field(description="What is wrong with it.")]
    code: Annotated[str, Field(description="Stable name of the rule that was broken.")]


class Problem(BaseModel):
    """An error as it crosses the bus: what RFC 9457 needs, less what only HTTP knows."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: Annotated[str, Field(description="Stable error code.")]
    detail: Annotated[str, Field(description="One sentence for a person.")]
    errors: Annotated[list[FieldProblem], Field(description="The offending parts, if any.")] = []
    retry_after_seconds: Annotated[
        int | None, Field(description="When the same request may be worth repeating; null: never unchanged.")
    ] = None
    task_id: Annotated[UUID | None, Field(description="The task that is in the way; null: none is named.")] = None


class TaskmillError(Exception):
    """Root of every error that Taskmill raises on purpose."""

    code: ClassVar[str] = "internal_error"
    detail: ClassVar[str] = "Something went wrong on our side."
    retry_after_seconds: ClassVar[int | None] = None

    def __init__(self, detail: str | None = None, *, errors: list[FieldProblem] | None = None) -> None:
        super().__init__(detail or self.detail)
        self.errors = errors or []

    def problem(self) -> Problem:
        """This error as it is told to a caller."""
        return Problem(
            code=self.code, detail=str(self), errors=self.errors, retry_after_seconds=self.retry_after_seconds
        )


class RequestError(TaskmillError):
    """The caller's fault: repeating the request unchanged fails again."""

    code = "invalid_request"


class InvalidRequestError(RequestError):
    """A request does not fit its model; `errors` says where."""

    code = "invalid_request"
    detail = "The request does not fit its schema."


class InvalidJsonError(RequestError):
    """A document is no JSON, or JSON that Taskmill cannot keep exactly."""

    code = "invalid_json"
    detail = "The body is not a JSON document that can be kept exactly."


class PayloadTooLargeError(RequestError):
    """A document is larger than a limit allows."""

    code = "payload_too_large"

    def __init__(self, what: str, limit_bytes: int, *, errors: list[FieldProblem] | None = None) -> None:
        super().__init__(f"The {what} is larger than {limit_bytes} bytes.", errors=errors)


class TaskNotFoundError(RequestError):
    """No task has this id."""

    code = "task_not_found"
    detail = "No task has this id."


class DeliveryNotFoundError(RequestError):
    """No delivery of this webhook has this id."""

    code = "delivery_not_found"
    detail = "No delivery of this webhook has this id."


class BulkOperationNotFoundError(RequestError):
    """No bulk operation has this id, or it was completed long ago."""

    code = "bulk_operation_not_found"
    detail = "No bulk operation has this id; one that was completed is kept for some days."


class GroupNotFoundError(RequestError):
    """No group has this id, or it was settled long ago."""

    code = "group_not_found"
    detail = "No group has this id; one that was settled is kept for some time."


class QueueNotFoundError(RequestError):
    """No queue has this name."""

    code = "queue_not_found"
    detail = "No queue has this name."


class ProcessorNotFoundError(RequestError):
    """No processor of this id listens."""

    code = "processor_not_found"
    detail = "No processor of this id listens."


class WebhookNotFoundError(RequestError):
    """No webhook has this id."""

    code = "webhook_not_found"
    detail = "No webhook has this id."


class ReplayNotFoundError(RequestError):
    """No replay has this id, or it was completed long ago, or its webhook was deleted."""

    code = "replay_not_found"
    detail = "No replay has this id; one that was completed is kept for some days."


class ApiKeyNotFoundError(RequestError):
    """No API key has this id, or it was revoked or has expired long ago."""

    code = "api_key_not_found"
    detail = "No API key has this id; one that was revoked or has expired is kept for some days."


class LimitNotFoundError(RequestError):
    """No limit has this name."""

    code = "limit_not_found"
    detail = "No limit has this name."


class ShareNotFoundError(RequestError):
    """No share is set for this key."""

    code = "share_not_found"
    detail = "No share is set for this key: its weight is 1."


class ScheduleNotFoundError(RequestError):
    """No schedule has this id."""

    code = "schedule_not_found"
    detail = "No schedule has this id."


class TaskExistsError(RequestError):
    """A task with the id of a new one exists already."""

    code = "task_exists"

    def __init__(self, task_id: UUID) -> None:
        super().__init__(f"A task with the id {task_id} exists already.")


class UniqueKeyHeldError(RequestError):
    """Another task holds the unique key of a new one.

    Attributes:
        task_id: That task.
    """

    code = "unique_key_held"
    detail = "Another task holds this unique key."

    def __init__(self, task_id: UUID, *, errors: list[FieldProblem] | None = None) -> None:
        super().__init__(errors=errors)
        self.task_id = task_id

    def problem(self) -> Problem:
        """With the task that holds the key."""
        return super().problem().model_copy(update={"task_id": self.task_id})


class RunActiveError(RequestError):
    """What was asked for is impossible while the task waits for, or is in, processing."""

    code = "run_active"
    detail = "The task is being processed; this is possible once its run has ended."


class IllegalTransitionError(RequestError):
    """The lifecycle has no way from the task's status to the one asked for."""

    code = "illegal_transition"

    def __init__(self, status: str, wanted: str) -> None:
        super().__init__(f"A task that is {status} cannot be set to {wanted}.")


class AlreadyFinishedError(RequestError):
    """A task that is not in a run was asked to be cancelled: it is too late, or too early."""

    code = "already_finished"
    detail = "The task is not being processed; there is nothing to cancel."


class IdempotencyKeyReusedError(RequestError):
    """Another request was made under this key."""

    code = "idempotency_key_reused"
    detail = "Another request was made under this Idempotency-Key."


class QueueFullError(RequestError):
    """As many tasks wait in a queue as the operator allows."""

    code = "queue_full"
    retry_after_seconds = 5

    def __init__(self, queue: str, limit: int) -> None:
        super().__init__(f"{limit} tasks wait in the queue {queue} already (TASKMILL_MAX_QUEUED_TASKS).")


class RevisionMismatchError(RequestError):
    """The task, the webhook or the schedule has changed since the caller read it."""

    code = "revision_mismatch"
    detail = "It has changed since it was read; read it again."


class FieldNotEditableError(RequestError):
    """A request changes a field that only Taskmill sets."""

    code = "field_not_editable"
    detail = "The request changes a field that only Taskmill sets."


class TooManyQueuesError(RequestError):
    """A new queue would exceed the number that the operator allows."""

    code = "too_many_queues"

    def __init__(self, limit: int) -> None:
        super().__init__(f"No more than {limit} queues may exist (TASKMILL_MAX_QUEUES).")


class TooManyWebhooksError(RequestError):
    """A new webhook would exceed the number that the operator allows."""

    code = "too_many_webhooks"

    def __init__(self, limit: int) -> None:
        super().__init__(f"No more than {limit} webhooks may exist (TASKMILL_MAX_WEBHOOKS).")


class TooManyReplaysError(RequestError):
    """As many replays run as may."""

    code = "too_many_replays"
    retry_after_seconds = 5

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} replays are running already.")


class TooManyApiKeysError(RequestError):
    """A new API key would exceed the number that the operator allows."""

    code = "too_many_api_keys"

    def __init__(self, limit: int) -> None:
        super().__init__(f"No more than {limit} API keys may be usable (TASKMILL_MAX_API_KEYS): revoke some.")


class TooManyLimitsError(RequestError):
    """There are as many limits as may be."""

    code = "too_many_limits"

    def __init__(self, limit: int) -> None:
        super().__init__(f"No more than {limit} limits may exist.")


class TooManySharesError(RequestError):
    """There are as many shares as may be."""

    code = "too_many_shares"

    def __init__(self, limit: int) -> None:
        super().__init__(f"No more than {limit} shares may be set.")


class TooManySchedulesError(RequestError):
    """A new schedule would exceed the number that the operator allows."""

    code = "too_many_schedules"

    def __init__(self, limit: int) -> None:
        super().__init__(f"No more than {limit} schedules may exist (TASKMILL_MAX_SCHEDULES).")


class UnavailableError(TaskmillError):
    """Nobody's fault: the same request may succeed later."""

    code = "store_unavailable"
    retry_after_seconds = 1


class StoreUnavailableError(UnavailableError):
    """No task store answered in time."""

    code = "store_unavailable"
    detail = "The task store did not answer in time."


class DatabaseUnavailableError(UnavailableError):
    """The task store cannot reach PostgreSQL."""

    code = "database_unavailable"
    detail = "The database cannot be reached at the moment."


class BusUnavailableError(UnavailableError):
    """NATS cannot be reached, or did not answer in time."""

    code = "bus_unavailable"
    detail = "The message bus cannot be reached at the moment."


class OverloadedError(UnavailableError):
    """More is under way than a bound inside a service allows; for one, TASKMILL_MAX_FOLLOWERS at a gateway."""

    code = "overloaded"
    detail = "More requests are waiting than can be served."


class InternalError(TaskmillError):
    """Our fault. Callers learn nothing but that it happened; the logs hold the rest."""

    code = "internal_error"


class RemoteError(TaskmillError):
    """An error that another service answered with, kept as it came."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail, errors=problem.errors)
        self._problem = problem

    def problem(self) -> Problem:
        """The problem as the other service told it."""
        return self._problem


def _leaves(root: type[TaskmillError]) -> list[type[TaskmillError]]:
    # Errors of other modules never cross the bus; which of them exist depends on what happens to be imported.
    children = [child for child in root.__subclasses__() if child is not RemoteError and child.__module__ == __name__]
    return [leaf for child in children for leaf in _leaves(child)] if children else [root]


def error_codes() -> dict[str, type[TaskmillError]]:
    """Every code that may appear in a `Problem`, with the error that carries it."""
    return {error.code: error for error in _leaves(TaskmillError)}
