"""What is said of an error, and what the command ends with."""

from typing import NamedTuple

from taskmill.cli.connecting import GatewayUnreachableError
from taskmill.cli.contexts import ContextError, NoSuchContextError
from taskmill.cli.database_errors import (
    DatabaseAwayError,
    DatabaseUnknownError,
    MigrationRefusedError,
    NoSuchRevisionError,
)
from taskmill.cli.errors import ServerMissingError, StackError
from taskmill.cli.exit_codes import ExitCode
from taskmill.runtime.errors import SettingsError
from taskmill.sdk.client import (
    ApiError,
    ConflictError,
    ForbiddenError,
    GapError,
    InvalidRequestError,
    NotFoundError,
    PreconditionFailedError,
    RunActiveError,
    RunCancelledError,
    RunFailedError,
    UnauthorizedError,
    UnavailableError,
    UniqueKeyHeldError,
    UnreadableAnswerError,
    WaitTimeoutError,
)


class Failure(NamedTuple):
    """How a command ends."""

    code: ExitCode
    text: str


_CODES: dict[type[Exception], ExitCode] = {
    RunFailedError: ExitCode.TASK_FAILED,
    RunCancelledError: ExitCode.TASK_CANCELLED,
    WaitTimeoutError: ExitCode.NOT_ENDED,
    GatewayUnreachableError: ExitCode.UNREACHABLE,
    UnavailableError: ExitCode.UNREACHABLE,
    NotFoundError: ExitCode.NOT_FOUND,
    NoSuchContextError: ExitCode.NOT_FOUND,
    ConflictError: ExitCode.CONFLICT,
    PreconditionFailedError: ExitCode.CONFLICT,
    InvalidRequestError: ExitCode.USAGE,
    SettingsError: ExitCode.USAGE,
    ServerMissingError: ExitCode.USAGE,
    DatabaseUnknownError: ExitCode.USAGE,
    NoSuchRevisionError: ExitCode.USAGE,
    MigrationRefusedError: ExitCode.CONFLICT,
    DatabaseAwayError: ExitCode.UNREACHABLE,
    ContextError: ExitCode.FAILED,
    StackError: ExitCode.FAILED,
    ApiError: ExitCode.FAILED,
    UnreadableAnswerError: ExitCode.FAILED,
    GapError: ExitCode.FAILED,
    OSError: ExitCode.FAILED,
}
"""For each class those are looked up that it descends from, the closest first."""

_HINTS: dict[type[Exception], str] = {
    RunActiveError: "Wait for its end (taskmill watch), or cancel it (taskmill cancel; taskmill delete --force).",
    UniqueKeyHeldError: "Look at the task that holds it (taskmill list --unique-key KEY), or say --on-conflict.",
    UnauthorizedError: "Set TASKMILL_API_KEY, or give the context a key: taskmill context add NAME URL --api-key -",
    ForbiddenError: "The key is known, but may not do this: use another one.",
    UnavailableError: "Look what is down: taskmill doctor",
    UnreadableAnswerError: "Does TASKMILL_URL, or the context, lead to a gateway of Taskmill?",
}


_SERVER_PARTS = ("taskmill.gateway", "taskmill.task_store", "taskmill.processor", "alembic", "asyncpg")
"""What the extra `server` brings."""


def explain(error: Exception) -> Failure | None:
    """How a command ends with an error; None: nobody has foreseen it."""
    if isinstance(error, ModuleNotFoundError):
        is_ours = error.name is not None and error.name.startswith(_SERVER_PARTS)
        return explain(ServerMissingError()) if is_ours else None
    classes = type(error).__mro__
    code = next((_CODES[one] for one in classes if one in _CODES), None)
    if code is None:
        return None
    hint = next((_HINTS[one] for one in classes if one in _HINTS), None)
    return Failure(code, f"{error}\n{hint}" if hint else str(error))
