"""What a client raises.

ClientError
├── NoAnswerError               nobody answered; it may have been carried out
├── UnreadableAnswerError       what answered is not the API
├── WaitTimeoutError            time was over before the end was seen; the task goes on
├── RunNotCompletedError        a run has ended, and not as completed; has the task
│   ├── RunFailedError
│   └── RunCancelledError
└── ApiError                    a problem (RFC 9457), with its code
    ├── InvalidRequestError     any other 4xx: the request itself is wrong
    ├── UnauthorizedError       401
    ├── ForbiddenError          403
    ├── NotFoundError           404
    │   └── TaskNotFoundError       task_not_found
    ├── ConflictError           409: not while it is as it is
    │   ├── RunActiveError          run_active
    │   ├── AlreadyFinishedError    already_finished
    │   ├── UniqueKeyHeldError      unique_key_held; names the task that holds it
    │   └── IdempotencyKeyReusedError  idempotency_key_reused
    ├── PreconditionFailedError 412: it has changed since it was read
    ├── TooManyRequestsError    429
    │   └── QueueFullError          queue_full
    ├── ServerError             any other 5xx
    └── UnavailableError        502, 503, 504: the same request may succeed later

`watch` and `events` raise a `GapError` (`taskmill.sdk.errors`), too, as subscribers do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from taskmill.contracts.errors import FieldProblem
from taskmill.contracts.tasks import Task
from taskmill.sdk.client.held_up import held_up_because
from taskmill.sdk.errors import SdkError


class ClientError(SdkError):
    """Root of what a client raises."""


class NoAnswerError(ClientError):
    """Nobody answered in time, or the connection broke.

    Attributes:
        reason: What happened, for people.
        was_sent: Whether the request may have arrived, and so been carried out.
        address: Who was asked, such as `http://127.0.0.1:8000`; None: over several connections nobody answered.
    """

    def __init__(self, reason: str, *, was_sent: bool, address: str | None = None) -> None:
        whence = "" if address is None else f" from {address}"
        super().__init__(f"No answer{whence}: {reason}")
        self.reason = reason
        self.was_sent = was_sent
        self.address = address


class UnreadableAnswerError(ClientError):
    """What answered is not the API, or one that this client does not understand."""


class WaitTimeoutError(ClientError):
    """The time that the caller gave was over first. Nothing was stopped by it.

    Attributes:
        task: The task of `run`, as it was read last; None: of `watch`.
    """

    def __init__(self, within_seconds: float, task: Task | None = None) -> None:
        what = "What is watched" if task is None else f"Task {task.id} ({task.status})"
        reason = None if task is None else held_up_because(task)
        because = f" It waits: {reason}." if reason else ""
        super().__init__(f"{what} has not ended within {within_seconds:g} s; it goes on.{because}")
        self.task = task


class RunNotCompletedError(ClientError):
    """What `run` waited for has ended, and there is no result.

    Attributes:
        task: The task.
    """

    def __init__(self, text: str, task: Task) -> None:
        super().__init__(text)
        self.task = task


class RunFailedError(RunNotCompletedError):
    """The task has failed: `task.error` says why."""

    def __init__(self, task: Task) -> None:
        why = f" {task.error.code}: {task.error.message}" if task.error else ""
        super().__init__(f"Task {task.id} has failed.{why}", task)


class RunCancelledError(RunNotCompletedError):
    """The task was cancelled."""

    def __init__(self, task: Task) -> None:
        super().__init__(f"Task {task.id} was cancelled.", task)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiProblem:
    """What an answer says of an error.

    Attributes:
        status: The HTTP status code.
        code: The stable name of the error; `http_<status>` of an answer that has none, such as a proxy's.
        detail: What went wrong, for people.
        errors: The offending parts of the request, if any.
        request_id: By which the server's logs know the request (`X-Request-ID`); None: it did not say.
        retry_after_seconds: When the same request may be worth repeating; None: it did not say.
        task_id: The task that is in the way; None: none is named.
    """

    status: int
    code: str
    detail: str
    errors: Sequence[FieldProblem] = ()
    request_id: str | None = None
    retry_after_seconds: float | None = None
    task_id: UUID | None = None


class ApiError(ClientError):
    """The API answered with an error. The classes below it say which kind; `code` says exactly.

    Attributes:
        problem: What it said; its fields can be read from the error itself, too: see `ApiProblem`.
    """

    def __init__(self, problem: ApiProblem) -> None:
        parts = "".join(f"\n  {part.pointer}: {part.detail}" for part in problem.errors)
        in_the_way = "" if problem.task_id is None else f"\n  It is task {problem.task_id}."
        super().__init__(f"{problem.detail} ({problem.status} {problem.code}){parts}{in_the_way}")
        self.problem = problem
        self.status = problem.status
        self.code = problem.code
        self.detail = problem.detail
        self.errors = problem.errors
        self.request_id = problem.request_id
        self.retry_after_seconds = problem.retry_after_seconds
        self.task_id = problem.task_id


class InvalidRequestError(ApiError):
    """The request is wrong, and will be: `errors` says where."""


class UnauthorizedError(ApiError):
    """The API wants to know who asks."""


class ForbiddenError(ApiError):
    """Who asks may not do this."""


class NotFoundError(ApiError):
    """There is no such thing."""


class TaskNotFoundError(NotFoundError):
    """No task has this id, or no longer."""


class ConflictError(ApiError):
    """It cannot be done while things are as they are."""


class RunActiveError(ConflictError):
    """It cannot be done while the task is being processed."""


class AlreadyFinishedError(ConflictError):
    """There is nothing to cancel: the task is not being processed."""


class UniqueKeyHeldError(ConflictError):
    """Another task, `task_id`, holds the unique key of the new one; of several new ones, the first key that is held."""


class IdempotencyKeyReusedError(ConflictError):
    """Another request was made under this key."""


class PreconditionFailedError(ApiError):
    """The task has changed since it was read: read it again."""


class TooManyRequestsError(ApiError):
    """Something is full; nothing was done."""


class QueueFullError(TooManyRequestsError):
    """As many tasks wait in the queue as may."""


class ServerError(ApiError):
    """The server's fault."""


class UnavailableError(ApiError):
    """Nobody's fault: the same request may succeed later. It may have been carried out, too."""


_BY_CODE: dict[str, type[ApiError]] = {
    "task_not_found": TaskNotFoundError,
    "run_active": RunActiveError,
    "already_finished": AlreadyFinishedError,
    "unique_key_held": UniqueKeyHeldError,
    "idempotency_key_reused": IdempotencyKeyReusedError,
    "queue_full": QueueFullError,
}
_BY_STATUS: dict[int, type[ApiError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    412: PreconditionFailedError,
    429: TooManyRequestsError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}


def api_error(problem: ApiProblem) -> ApiError:
    """The error for a problem: by its code if that has a class of its own, or else by its status."""
    other = InvalidRequestError if problem.status < 500 else ServerError
    return _BY_CODE.get(problem.code, _BY_STATUS.get(problem.status, other))(problem)
