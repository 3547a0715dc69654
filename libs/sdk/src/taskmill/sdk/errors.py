"""The errors of the SDK. They stay within one process, so they are no part of the tree in contracts.

SdkError
├── RegistrationError        a handler cannot be registered
│   ├── InvalidKindError
│   ├── InvalidDefaultsError
│   ├── InvalidHandlerError
│   └── DuplicateKindError
├── AppNotFoundError         `module:attribute` names no TaskApp
├── ClientError              what a client raises; see `taskmill.sdk.client.errors`
├── GapError                 who follows, on NATS or over HTTP, cannot go on without a gap
│   ├── EventsGoneError      the log begins behind the follower's position
│   ├── TaskEventsGoneError  events of one task are neither on NATS nor in the log
│   └── LogSetBackError      the log ends before the follower's position
├── AccessRefusedError       NATS lets nobody in with the credentials of a subscriber
├── TooManySubmissionsError  an execution submits more tasks than it may
├── BadResultError           what a handler returned cannot be kept
├── NotNow                   raised by a handler: it wants to be called later, and that is no attempt
└── TaskFailedError          raised by a handler: the attempt failed, with a code of the handler's own
    ├── InvalidPayloadError  code invalid_payload; final
    ├── GiveUp               code gave_up; final
    └── RetryLater           code retry_later; names the time to wait
"""

import re
from uuid import UUID

from taskmill.contracts.limits import MAX_BACKOFF_SECONDS, MAX_SUBMITTED_BYTES, MAX_SUBMITTED_TASKS

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")


class SdkError(Exception):
    """Root of the errors of the SDK."""


class RegistrationError(SdkError):
    """A handler cannot be registered. Each error below it has the `kind` that it is about."""


class InvalidKindError(RegistrationError):
    """A kind is no token of a subject."""

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"{kind!r} is no kind: use 1 to 64 of a-z, 0-9, '-' and '_', and begin with a letter or a digit."
        )
        self.kind = kind


class InvalidHandlerError(RegistrationError):
    """What is to be registered cannot be called as a handler."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(f"The handler of {kind!r} cannot be. {reason}.")
        self.kind = kind


class InvalidDefaultsError(RegistrationError):
    """What is declared for the tasks of a kind is out of bounds."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(f"The defaults of {kind!r} cannot be. {reason}")
        self.kind = kind


class DuplicateKindError(RegistrationError):
    """Two handlers want the same kind."""

    def __init__(self, kind: str, first_app: str, second_app: str) -> None:
        super().__init__(
            f"Two handlers are registered for {kind!r}: one in app {first_app!r}, one in app {second_app!r}."
        )
        self.kind = kind


class AppNotFoundError(SdkError):
    """`module:attribute` does not lead to a TaskApp.

    Attributes:
        location: What was looked for.
    """

    def __init__(self, location: str, reason: str) -> None:
        super().__init__(
            f"No app at {location!r}: {reason}. Say where it is as MODULE:APP: media:app is `app` in media.py, which "
            "is looked for in this directory, too."
        )
        self.location = location


class BadResultError(SdkError):
    """What a handler returned cannot be kept as the task's result: it is no JSON, or larger than 256 KiB.

    Taskmill raises it. The attempt fails with `bad_result`, and there is no other.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"The handler's result cannot be kept. {reason}")


class NotNow(SdkError):  # noqa: N818 -- it reads as what the handler says
    """Raise it in a handler to be called again later, as if it had not been called: that costs no attempt.

    For when nothing is wrong with the task, but its turn has not come: what it needs is busy. Nothing bounds how often
    a task is put off, so have it wait for as long as will do. What is to be cancelled is cancelled instead.

    Args:
        after_seconds: How long to wait, 0 to 7 days.

    Raises:
        ValueError: `after_seconds` is out of bounds.
    """

    def __init__(self, after_seconds: float) -> None:
        if not 0 <= after_seconds <= MAX_BACKOFF_SECONDS:
            raise ValueError(f"the wait before the next call is 0 to {MAX_BACKOFF_SECONDS} seconds")
        super().__init__(f"call again in {after_seconds:g} s")
        self.after_seconds = after_seconds


class TaskFailedError(SdkError):
    """Raise it in a handler to fail the attempt with a code that callers may branch on.

    Any other exception fails the attempt as well, with the code `handler_error`.

    Args:
        code: Stable name of the cause: `[a-z][a-z0-9_]*`, up to 64 characters.
        message: What happened, for people. Everybody who may see the task sees it; it is cut at 2,000 characters.
        is_final: Whether another attempt would be of no use: the task fails, whatever attempts it has left.

    Attributes:
        retry_after_seconds: How long the next attempt waits, if there is one; None: as the task's backoff says.

    Raises:
        ValueError: `code` does not look as above.
    """

    def __init__(self, code: str, message: str, *, is_final: bool = False) -> None:
        if not _CODE.fullmatch(code):
            raise ValueError("the code of a failure is 1 to 64 of a-z, 0-9 and '_', beginning with a letter")
        super().__init__(message)
        self.code = code
        self.is_final = is_final
        self.retry_after_seconds: float | None = None


class InvalidPayloadError(TaskFailedError):
    """Raise it in a handler when the payload is not what the handler takes. There is no other attempt.

    Args:
        message: What is wrong with it, for people; as the message of `TaskFailedError`.
    """

    def __init__(self, message: str) -> None:
        super().__init__("invalid_payload", message, is_final=True)


class GiveUp(TaskFailedError):  # noqa: N818 -- it reads as what the handler says
    """Raise it in a handler to fail the task at once, whatever attempts it has left.

    Args:
        reason: Why another attempt would be of no use, for people; as the message of `TaskFailedError`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("gave_up", reason, is_final=True)


class RetryLater(TaskFailedError):  # noqa: N818 -- it reads as what the handler says
    """Raise it in a handler to fail the attempt and choose when the next begins, as a `Retry-After` header says.

    It counts like any failed attempt: after the last one the task fails.

    Args:
        after_seconds: How long to wait, 0 to 7 days, instead of what the backoff says.
        reason: Why, for people; as the message of `TaskFailedError`.

    Raises:
        ValueError: `after_seconds` is out of bounds.
    """

    def __init__(self, after_seconds: float, reason: str = "The handler asked for another attempt.") -> None:
        if not 0 <= after_seconds <= MAX_BACKOFF_SECONDS:
            raise ValueError(f"the wait before the next attempt is 0 to {MAX_BACKOFF_SECONDS} seconds")
        super().__init__("retry_later", reason)
        self.retry_after_seconds = after_seconds


class TooManySubmissionsError(SdkError):
    """An execution has submitted 1,000 tasks, or 8 MiB of them: that is the most."""

    def __init__(self) -> None:
        super().__init__(
            f"One execution submits at most {MAX_SUBMITTED_TASKS} tasks, of {MAX_SUBMITTED_BYTES} bytes in all as JSON."
        )


class AccessRefusedError(SdkError):
    """NATS lets nobody in with the user and the password that a subscriber has: it would be refused again."""

    def __init__(self) -> None:
        super().__init__("NATS refuses the user and the password of TASKMILL_NATS_URL (or NATS_URL).")


class GapError(SdkError):
    """Events are missing that nobody has any more. What came before them was handed out.

    Attributes:
        resume_after: The position behind which it goes on, for a follower that can do without them.
    """

    def __init__(self, text: str, *, resume_after: int) -> None:
        super().__init__(f"{text} It goes on behind position {resume_after}.")
        self.resume_after = resume_after


class EventsGoneError(GapError):
    """The log begins behind the follower's position: it was away for longer than events are kept.

    Attributes:
        after: The follower's position.
        removed: The position up to which the log keeps nothing.
    """

    def __init__(self, *, after: int, removed: int) -> None:
        super().__init__(f"Events behind {after} and up to {removed} are gone.", resume_after=removed)
        self.after = after
        self.removed = removed


class TaskEventsGoneError(GapError):
    """Events of one task are neither on NATS nor in the log.

    Attributes:
        task_id: The task.
        first: The version of the first of them.
        last: The version of the last of them.
    """

    def __init__(self, *, task_id: UUID, first: int, last: int, resume_after: int) -> None:
        super().__init__(f"Of task {task_id} the events {first} to {last} are gone.", resume_after=resume_after)
        self.task_id = task_id
        self.first = first
        self.last = last


class LogSetBackError(GapError):
    """The log ends before the follower's position: the database was set back to an earlier state.

    Attributes:
        after: The follower's position.
        newest: The position of the newest event.
    """

    def __init__(self, *, after: int, newest: int) -> None:
        super().__init__(f"The log ends at {newest}, before {after}: it was set back.", resume_after=newest)
        self.after = after
        self.newest = newest
