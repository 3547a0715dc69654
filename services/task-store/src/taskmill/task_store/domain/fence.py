"""The fence: which reports of an execution still count.

A report names its execution by (attempt, dispatch, delivery). Attempt and dispatch are the store's numbers, and must be
the row's. The delivery is JetStream's count, which rises when a work item is delivered again: it says who came last.
"""

from enum import StrEnum

from taskmill.contracts.reports import AttemptReport, Started
from taskmill.task_store.domain.state import TaskState


class FenceRule(StrEnum):
    """How the delivery of a report must compare with the row's. The value is how the documentation puts it."""

    NEWER = "newer"
    """Only a later delivery may take the attempt over: a repeated `started` changes nothing.

    Or the same one at another processor, if that began later: a nats-server that was killed may have forgotten that it
    delivered. Of what began before, the start is of the past, also when it comes again, or for the first time.
    """

    SAME = "same"
    """Only the execution that holds the attempt may speak of it."""

    SAME_OR_NEWER = "same or newer"
    """An ending also stands for a start that was not told."""

    def admits(self, state: TaskState, report: AttemptReport, processor_id: str) -> bool:
        """Whether a report of a processor is of an execution that counts."""
        if report.attempt != state.attempt or report.dispatch != state.dispatch:
            return False
        if self is FenceRule.SAME:
            return is_holder(state, report, processor_id)
        if self is FenceRule.NEWER:
            return _takes_over(state, report, processor_id)
        return report.delivery >= state.delivery


def _takes_over(state: TaskState, report: AttemptReport, processor_id: str) -> bool:
    if report.delivery != state.delivery or state.started_at is None:
        return report.delivery > state.delivery
    began_later = isinstance(report, Started) and report.started_at > state.started_at
    return began_later and processor_id != state.processor_id


def is_holder(state: TaskState, report: AttemptReport, processor_id: str) -> bool:
    """Whether the execution that a processor reports of is the one that holds the attempt."""
    return report.delivery == state.delivery and processor_id == state.processor_id
