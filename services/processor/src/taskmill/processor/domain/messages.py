"""The messages of a processor, as JSON: work items, which it reads, and reports in bundles, which it writes.

The models in `taskmill.contracts` say what they must look like. The reports of which there are many are composed
without a model, which takes a fifth of the time (2 µs against 10 for each task); a test reads them with the models.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from taskmill.contracts.limits import MAX_BODY_BYTES
from taskmill.contracts.reports import AttemptReport, EndReport, Failed, Hello
from taskmill.contracts.retries import last_attempt
from taskmill.contracts.tasks import KindDefaults
from taskmill.contracts.work import WorkItem
from taskmill.processor.domain.held_attempt import HeldAttempt, ReportKey
from taskmill.processor.errors import UndecodableWorkError
from taskmill.sdk.outcome import Failure

_WORK_ITEM = TypeAdapter(WorkItem)

_TOLD_BEFORE = ("submitted", "logged", "checkpointed")
"""What an end says of what its execution told before. It is put in when the end is told: until then more may be."""

_BUNDLE_OVERHEAD_BYTES = 128
_MAX_REPORTS_BYTES = MAX_BODY_BYTES - _BUNDLE_OVERHEAD_BYTES


def read_work_item(data: bytes) -> WorkItem:
    """Read a message of the work stream.

    Raises:
        UndecodableWorkError: It is no work item.
    """
    try:
        return _WORK_ITEM.validate_json(data)
    except ValidationError as error:
        raise UndecodableWorkError(error.error_count()) from error


def with_declared_limit(work_item: WorkItem, declared: KindDefaults) -> WorkItem:
    """A work item with the last attempt of its run, where that is left to what the handler declares."""
    if not work_item.first_attempt or declared.max_attempts is None:
        return work_item
    limit = max(last_attempt(work_item.first_attempt, declared.max_attempts), work_item.attempt)
    return work_item.model_copy(update={"attempt_limit": limit})


def report_text(report: AttemptReport | Hello) -> bytes:
    """Any report; that of an end without what its execution told before."""
    return report.model_dump_json(exclude=set(_TOLD_BEFORE) if isinstance(report, EndReport) else None).encode()


def started_text(fence: ReportKey, started_at: datetime) -> bytes:
    """The handler is about to be called."""
    return _composed("started", fence, started_at=started_at)


def heartbeat_text(fence: ReportKey) -> bytes:
    """The attempt is still held."""
    return _composed("heartbeat", fence)


def completed_text(fence: ReportKey, started_at: datetime, finished_at: datetime, result_json: bytes) -> bytes:
    """The handler returned `result_json`, which is put in as it is."""
    result = orjson.Fragment(result_json)
    return _composed("completed", fence, started_at=started_at, finished_at=finished_at, result=result)


def failed_text(attempt: HeldAttempt, failure: Failure, started_at: datetime, finished_at: datetime) -> bytes:
    """The attempt failed."""
    return report_text(
        attempt.report(
            Failed,
            started_at=started_at,
            finished_at=finished_at,
            error=failure.error,
            traceback=failure.traceback,
            is_final=failure.is_final,
            retry_after_seconds=failure.retry_after_seconds,
        )
    )


def with_what_was_told(report: bytes, attempt: HeldAttempt) -> bytes:
    """The report of an end, with how much its execution told before, if anything: it must not overtake that."""
    if attempt.lines is None and not (attempt.submitted or attempt.checkpointed):
        return report
    for name in _TOLD_BEFORE:
        if number := getattr(attempt, name):
            report = b'{"%b":%d,%b' % (name.encode(), number, report[1:])
    return report


def with_traceparent(report: bytes, traceparent: str | None) -> bytes:
    """A report that was composed here, with the span of the execution that it speaks of."""
    return report if traceparent is None else b'{"traceparent":"%b",%b' % (traceparent.encode(), report[1:])


def fits_bundle(reports_bytes: int, report: bytes) -> bool:
    """Whether a bundle that holds reports of `reports_bytes` bytes, commas included, may take one more."""
    return reports_bytes + len(report) <= _MAX_REPORTS_BYTES


def bundle_text(processor_id: str, reports: Iterable[bytes]) -> bytes:
    """A bundle of reports, in order."""
    return b'{"processor_id":%b,"reports":[%b]}' % (orjson.dumps(processor_id), b",".join(reports))


def split_for_bundles(reports: Sequence[bytes]) -> list[list[bytes]]:
    """Divide reports, in order, among as few bundles as hold them. A single report always fits one."""
    parts: list[list[bytes]] = []
    size = 0
    for report in reports:
        if not parts or not fits_bundle(size, report):
            parts.append([])
            size = 0
        parts[-1].append(report)
        size += len(report) + 1
    return parts


def _composed(report_type: str, fence: ReportKey, **rest: Any) -> bytes:
    task_id, attempt, dispatch, delivery = fence
    return orjson.dumps(
        {
            "type": report_type,
            "task_id": task_id,
            "attempt": attempt,
            "dispatch": dispatch,
            "delivery": delivery,
            **rest,
        }
    )
