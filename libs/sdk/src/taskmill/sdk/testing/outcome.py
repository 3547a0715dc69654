"""How a task came out that was run in a test."""

from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from pydantic import JsonValue, TypeAdapter
from pydantic_core import to_json

from taskmill.contracts.reports import Checkpointed, HandlerReport, Logged, Progressed, Submitted
from taskmill.contracts.requests import IdentifiedTask
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import AttemptOutcome, Line, Progress, TaskError

_Result = TypeVar("_Result")
_Report = TypeVar("_Report", bound=HandlerReport)


@dataclass(frozen=True, slots=True)
class MadeAttempt:
    """An attempt that was made.

    Attributes:
        number: Its number, as `ctx.attempt` had it.
        outcome: `completed`, `failed` or `cancelled`.
        error: Why it failed; None: it did not.
        traceback: The end of the handler's traceback; None: it did not fail, or on purpose.
        wait_seconds: How long the task would have waited for the next attempt, at most: what the jitter takes off is
            not. None: there was no next one.
    """

    number: int
    outcome: AttemptOutcome
    error: TaskError | None = None
    traceback: str | None = None
    wait_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """How a task came out.

    Attributes:
        status: `completed`, `failed` or `cancelled`; `scheduled`: it was put off more often than the test allowed.
        result: What the handler returned, as JSON has it; None also when the task is not completed.
        error: Why the last attempt failed; None: it did not.
        attempts: All attempts, in order.
        put_off_seconds: For how long the handler put the task off (`NotNow`), each time.
        reports: All that the handler said, of any type, in order. Nothing is left out, though of progress a processor
            tells at most one a second, and a task keeps the newest 1,000 lines.
    """

    status: TaskStatus
    result: JsonValue
    error: TaskError | None
    attempts: tuple[MadeAttempt, ...]
    put_off_seconds: tuple[float, ...]
    reports: tuple[HandlerReport, ...]

    @property
    def progress(self) -> list[Progress]:
        """All that was said with `ctx.progress`, in order."""
        return [report.progress for report in self.said(Progressed)]

    @property
    def lines(self) -> list[Line]:
        """All that was written with `ctx.log`, from `info` up, in order."""
        return [line for report in self.said(Logged) for line in report.lines]

    @property
    def checkpoint(self) -> JsonValue:
        """The newest checkpoint that the handler left with `ctx.progress`; None: it left none."""
        checkpoints = self.said(Checkpointed)
        return checkpoints[-1].checkpoint if checkpoints else None

    @property
    def submitted(self) -> list[IdentifiedTask]:
        """The tasks that there would be by `ctx.submit`, in order: of those with the same id the first counts."""
        tasks: dict[UUID, IdentifiedTask] = {}
        for report in self.said(Submitted):
            tasks.setdefault(report.task.id, report.task)
        return list(tasks.values())

    def said(self, report_type: type[_Report]) -> list[_Report]:
        """The reports of one type, in order.

        Args:
            report_type: One of `taskmill.contracts.reports`, such as `Submitted`.
        """
        return [report for report in self.reports if isinstance(report, report_type)]

    def result_as(self, result_type: type[_Result]) -> _Result:
        """The result, read from JSON as a type: a model, a dataclass, `list[int]`, whatever pydantic knows.

        Args:
            result_type: The type.

        Raises:
            NotCompletedError: The task is not completed; an `AssertionError` that says why.
            ValidationError: The result does not fit the type.
        """
        if self.status is not TaskStatus.COMPLETED:
            raise NotCompletedError(self)
        return TypeAdapter(result_type).validate_json(to_json(self.result))


class NotCompletedError(AssertionError):
    """A task is not completed, and so has no result.

    Args:
        outcome: How it came out.
    """

    def __init__(self, outcome: TaskOutcome) -> None:
        reason = "" if outcome.error is None else f": {outcome.error.code}: {outcome.error.message}"
        traceback = outcome.attempts[-1].traceback if outcome.attempts else None
        super().__init__(f"The task is {outcome.status}{reason}" + (f"\n\n{traceback}" if traceback else ""))
        self.outcome = outcome
