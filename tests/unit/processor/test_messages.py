"""What is written, with the models or without, is what the models say."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from taskmill.contracts.limits import MAX_BODY_BYTES
from taskmill.contracts.reports import (
    AttemptReport,
    Cancelled,
    Completed,
    EndReport,
    Failed,
    GivenBack,
    Heartbeat,
    Hello,
    Progressed,
    Report,
    ReportBundle,
    Started,
)
from taskmill.contracts.tasks import KindDefaults, Progress, TaskError
from taskmill.processor.domain import messages
from taskmill.processor.domain.held_attempt import ReportKey
from taskmill.processor.domain.untold_lines import UntoldLines
from tests.unit.processor.builders import new_attempt, new_line

FENCE = ReportKey(UUID(int=7), 2, 3, 4)
STARTED_AT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
FINISHED_AT = datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)
REPORTS: list[AttemptReport | Hello] = [
    Progressed(**FENCE._asdict(), progress=Progress(fraction=0.5, message="half")),
    Failed(
        **FENCE._asdict(),
        started_at=STARTED_AT,
        finished_at=FINISHED_AT,
        error=TaskError(code="handler_error", type="ValueError", message='"quoted" ü'),
        traceback="Traceback …",
        is_final=True,
        retry_after_seconds=1.5,
    ),
    Cancelled(**FENCE._asdict(), started_at=STARTED_AT, finished_at=FINISHED_AT),
    GivenBack(**FENCE._asdict(), reason="draining"),
    Hello(queues=["default"], kinds=["echo"], slots=3, software_version="1"),
]


@pytest.mark.parametrize(
    ("text", "report"),
    [
        (messages.started_text(FENCE, STARTED_AT), Started(**FENCE._asdict(), started_at=STARTED_AT)),
        (messages.heartbeat_text(FENCE), Heartbeat(**FENCE._asdict())),
        (
            messages.completed_text(FENCE, STARTED_AT, FINISHED_AT, b'{"a":[1.0,null]}'),
            Completed(**FENCE._asdict(), started_at=STARTED_AT, finished_at=FINISHED_AT, result={"a": [1.0, None]}),
        ),
        *((messages.report_text(report), report) for report in REPORTS),
    ],
)
def test_reports_read_as_their_models(text: bytes, report: Report) -> None:
    """Every report, in a bundle, is read as the model that it stands for."""
    bundle = ReportBundle.model_validate_json(messages.bundle_text("p-1", [text, text]))
    assert bundle == ReportBundle(processor_id="p-1", reports=[report, report])


@pytest.mark.parametrize("end", [report for report in REPORTS if isinstance(report, EndReport)], ids=lambda it: it.type)
def test_every_end_says_what_was_told_before(end: EndReport) -> None:
    """Each number once, or the reader would take the last of two; and where nothing was told, not a byte."""
    text, attempt = messages.report_text(end), new_attempt()
    assert [word for word in (b"submitted", b"logged", b"checkpointed") if word in text] == []
    assert messages.with_what_was_told(text, attempt) == text
    attempt.submitted, attempt.checkpointed, attempt.lines = 3, 2, UntoldLines()
    attempt.lines.add(map(new_line, "abcd"))
    attempt.lines.take()
    bundle = messages.bundle_text("p-1", [messages.with_what_was_told(text, attempt)])
    told = {"submitted": 3, "logged": 4, "checkpointed": 2}
    assert ReportBundle.model_validate_json(bundle).reports == [end.model_copy(update=told)]


def test_a_result_is_put_in_as_it_is() -> None:
    """Not even a number is written in another way."""
    assert b'"result":{"a":1.50}' in messages.completed_text(FENCE, STARTED_AT, FINISHED_AT, b'{"a":1.50}')


@pytest.mark.parametrize("size", [1_000, 100_000, 260_000, MAX_BODY_BYTES - 128])
def test_reports_are_split_so_that_bundles_fit(size: int) -> None:
    """No bundle exceeds the limit, nothing is lost, the order stays, and a bundle is not smaller than it must be."""
    reports = [b"%05d" % number + b"x" * (size - 5) for number in range(1_700_000 // size + 1)]
    parts = messages.split_for_bundles(reports)
    assert [report for part in parts for report in part] == reports
    processor_id = "p" * 64
    sizes = [len(messages.bundle_text(processor_id, part)) for part in parts]
    assert [size for size in sizes if size > MAX_BODY_BYTES] == []
    assert all(len(part) >= (MAX_BODY_BYTES - 128) // (size + 1) for part in parts[:-1])


def test_nothing_is_split_into_nothing() -> None:
    """Without reports there is no bundle."""
    assert messages.split_for_bundles([]) == []


@pytest.mark.parametrize(
    ("first_attempt", "attempt", "declared", "limit"),
    [(0, 1, 5, 1), (1, 1, None, 1), (1, 1, 5, 5), (3, 4, 5, 7), (3, 4, 1, 4)],
    ids=["said", "not declared", "declared", "of a later run", "declared to be less"],
)
def test_the_last_attempt_is_the_handlers_to_say_where_nobody_else_does(
    first_attempt: int, attempt: int, declared: int | None, limit: int
) -> None:
    """A task may have been queued before any processor of its kind was heard of."""
    numbers = {"attempt": attempt, "attempt_limit": attempt, "first_attempt": first_attempt}
    item = new_attempt().work_item.model_copy(update=numbers)
    assert messages.with_declared_limit(item, KindDefaults(max_attempts=declared)).attempt_limit == limit
