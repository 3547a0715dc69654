"""An attempt that this processor holds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Self, TypeVar
from uuid import UUID

from taskmill.contracts.reports import AttemptReport, HandlerReport, Submitted
from taskmill.contracts.work import WorkItem
from taskmill.processor.domain.untold_lines import UntoldLines
from taskmill.sdk.calling.attempt import StopReason

_Report = TypeVar("_Report", bound=AttemptReport)


class AttemptKey(NamedTuple):
    """Tells one dispatch of an attempt from every other."""

    task_id: UUID
    attempt: int
    dispatch: int


class ReportKey(NamedTuple):
    """What every report of an attempt carries, so that the store can tell whether it is still the current one."""

    task_id: UUID
    attempt: int
    dispatch: int
    delivery: int


@dataclass(slots=True, eq=False)
class HeldAttempt:
    """An attempt that this processor holds: what a work item asks for, on its way from the fetch to the ack.

    Attributes:
        key: Which dispatch it is.
        work_item: What was asked for.
        delivery: The delivery count under which everything is reported.
        newest_delivery: The highest delivery count that was seen of it.
        possible_crashes: How many processors may have died over it: as many as the store knows of, and all deliveries
            before this one, unless each of them was declined here.
        reply: The subject of its newest delivery, which heartbeats and the ack go to.
        started_at: When the handler was about to be called; None: it has not been.
        on_start_stored: Called once the report of its start is stored.
        lines: The lines that its handler wrote and that were not told; None: it has not written any.
        checkpoints: How many checkpoints its handler told.
        checkpointed: The number of the last of them that was reported under the present fence; 0: none.
        submitted: How many tasks its handler submitted.
        submissions: The reports of those that were told, in order: under another fence they do not count.
        has_unstored_lines: Whether a report of lines is on its way: until it is stored, further ones gather.
        told_at: When what its handler said was last reported, by type, in seconds of the event loop's clock; empty:
            nothing was.
        allowed_seconds: How long its handler may take, with what it asked for meanwhile; None: for ever.
        times_out_at: When its handler's time is over, in seconds of `time.monotonic`; None: never, or not called yet.
        stop_reason: Why its handler is being stopped; None: it is not.
        traceparent: The span that it belongs to: that of its dispatch, and, once its handler was called, its own; None:
            it is not traced.
        is_ended: Whether its end was reported; whatever comes after it is void.
    """

    key: AttemptKey
    work_item: WorkItem
    delivery: int
    newest_delivery: int
    reply: str
    possible_crashes: int
    started_at: datetime | None = None
    on_start_stored: Callable[[], None] | None = None
    lines: UntoldLines | None = None
    checkpoints: int = 0
    checkpointed: int = 0
    submitted: int = 0
    submissions: list[Submitted] = field(default_factory=list)
    has_unstored_lines: bool = False
    told_at: dict[type[HandlerReport], float] = field(default_factory=dict)
    allowed_seconds: float | None = None
    times_out_at: float | None = None
    stop_reason: StopReason | None = None
    traceparent: str | None = None
    is_ended: bool = False

    @classmethod
    def fetched(
        cls,
        work_item: WorkItem,
        delivery: int,
        reply: str,
        *,
        possible_crashes: int,
        traceparent: str | None = None,
    ) -> Self:
        """What a delivery of a work item asks for.

        Args:
            work_item: What was read.
            delivery: How often JetStream has delivered it, this time included.
            reply: The delivery's own subject.
            possible_crashes: How many deliveries before this one somebody may have begun.
            traceparent: The span of its dispatch; None: it is not traced.
        """
        return cls(
            AttemptKey(work_item.task_id, work_item.attempt, work_item.dispatch),
            work_item,
            delivery,
            delivery,
            reply,
            possible_crashes=work_item.crashes + possible_crashes,
            allowed_seconds=work_item.timeout_seconds,
            traceparent=traceparent,
        )

    def log_names(self) -> dict[str, str | int]:
        """What is logged on its way says of it."""
        return {"task_id": str(self.key.task_id), "attempt": self.key.attempt}

    def renew_fence(self, delivery: int) -> None:
        """Report under a later delivery: for the store an execution begins, which has told nothing yet."""
        self.delivery = delivery
        self.checkpointed = 0
        if self.lines is not None:
            self.lines.number_anew()

    def note_lines_stored(self) -> None:
        """The report of lines that was on its way is stored."""
        self.has_unstored_lines = False

    @property
    def logged(self) -> int:
        """The number of the last line that was reported under the present fence; 0: none."""
        return 0 if self.lines is None else self.lines.told_number

    @property
    def fence(self) -> ReportKey:
        """What its reports carry."""
        return ReportKey(*self.key, self.delivery)

    def report(self, report_type: type[_Report], **content: Any) -> _Report:
        """A report of it, with what it holds beside the fence; its start and its end also have their span."""
        traceparent = None if issubclass(report_type, HandlerReport) else self.traceparent
        return report_type(**self.fence._asdict(), traceparent=traceparent, **content)
