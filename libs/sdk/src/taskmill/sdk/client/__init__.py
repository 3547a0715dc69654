"""Asking Taskmill for something, over HTTP: `Client`, and `AsyncClient` for asyncio.

    from taskmill.sdk import Client

    with Client() as client:
        task = client.run("thumbnail", {"width": 80})
        print(task.result)

Apart from `taskmill.sdk`, which loads it when it is first asked for: whoever only writes handlers needs no HTTP.
"""

from taskmill.sdk.client.async_client import AsyncClient
from taskmill.sdk.client.errors import (
    AlreadyFinishedError,
    ApiError,
    ApiProblem,
    ClientError,
    ConflictError,
    ForbiddenError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    NoAnswerError,
    NotFoundError,
    PreconditionFailedError,
    QueueFullError,
    RunActiveError,
    RunCancelledError,
    RunFailedError,
    RunNotCompletedError,
    ServerError,
    TaskNotFoundError,
    TooManyRequestsError,
    UnauthorizedError,
    UnavailableError,
    UniqueKeyHeldError,
    UnreadableAnswerError,
    WaitTimeoutError,
)
from taskmill.sdk.client.fields import (
    EventConditions,
    FollowUp,
    ScheduleChanges,
    ScheduledTask,
    ScheduleOptions,
    TaskChanges,
    TaskConditions,
    TaskOptions,
    TaskSelection,
    TaskToSubmit,
    WebhookChanges,
    WebhookOptions,
)
from taskmill.sdk.client.flows import LastEvents
from taskmill.sdk.client.sync_client import Client
from taskmill.sdk.errors import EventsGoneError, GapError, LogSetBackError
from taskmill.sdk.event import Event
from taskmill.sdk.unique import UniqueOptions

__all__ = [
    "AlreadyFinishedError",
    "ApiError",
    "ApiProblem",
    "AsyncClient",
    "Client",
    "ClientError",
    "ConflictError",
    "Event",
    "EventConditions",
    "EventsGoneError",
    "FollowUp",
    "ForbiddenError",
    "GapError",
    "IdempotencyKeyReusedError",
    "InvalidRequestError",
    "LastEvents",
    "LogSetBackError",
    "NoAnswerError",
    "NotFoundError",
    "PreconditionFailedError",
    "QueueFullError",
    "RunActiveError",
    "RunCancelledError",
    "RunFailedError",
    "RunNotCompletedError",
    "ScheduleChanges",
    "ScheduleOptions",
    "ScheduledTask",
    "ServerError",
    "TaskChanges",
    "TaskConditions",
    "TaskNotFoundError",
    "TaskOptions",
    "TaskSelection",
    "TaskToSubmit",
    "TooManyRequestsError",
    "UnauthorizedError",
    "UnavailableError",
    "UniqueKeyHeldError",
    "UniqueOptions",
    "UnreadableAnswerError",
    "WaitTimeoutError",
    "WebhookChanges",
    "WebhookOptions",
]
