"""What is composed without the models is what the models say."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from taskmill.contracts.limits import MAX_BODY_BYTES
from taskmill.contracts.reports import (
    Cancelled,
    Completed,
    Failed,
    GivenBack,
    Heartbeat,
    Hello,
    Progressed,
    Report,
    ReportBundle,
    Started,
)
from taskmill.contracts.tasks import Progress, TaskError
from taskmill.processor.domain import report_text
from taskmill.processor.domain.held_attempt import ReportKey
from taskmill.processor.domain.outcome import Failure

FENCE = ReportKey(UUID(int=7), 2, 3, 4)
STARTED_AT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
FINISHED_AT = datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)
ERROR = TaskError(code="handler_error", type="ValueError", message='"quoted" ü')
HELLO = Hello(queues=["default"], kinds=["echo"], slots=3, software_version="1")


@pytest.mark.parametrize(
    ("text", "report"),
    [
        (report_text.started_text(FENCE, STARTED_AT), Started(**FENCE._asdict(), started_at=STARTED_AT)),
        (report_text.heartbeat_text(FENCE), Heartbeat(**FENCE._asdict())),
        (
            report_text.progressed_text(FENCE, Progress(fraction=0.5, message="half")),
            Progressed(**FENCE._asdict(), progress=Progress(fraction=0.5, message="half")),
        ),
        (
            report_text.completed_text(FENCE, STARTED_AT, FINISHED_AT, b'{"a":[1.0,null]}'),
            Completed(**FENCE._asdict(), started_at=STARTED_AT, finished_at=FINISHED_AT, result={"a": [1.0, None]}),
        ),
        (
            report_text.failed_text(FENCE, STARTED_AT, FINISHED_AT, Failure(ERROR)),
            Failed(**FENCE._asdict(), started_at=STARTED_AT, finished_at=FINISHED_AT, error=ERROR),
        ),
        (
            report_text.failed_text(FENCE, STARTED_AT, FINISHED_AT, Failure(ERROR, "Traceback …", True, 1.5)),
            Failed(
                **FENCE._asdict(),
                started_at=STARTED_AT,
                finished_at=FINISHED_AT,
                error=ERROR,
                traceback="Traceback …",
                is_final=True,
                retry_after_seconds=1.5,
            ),
        ),
        (
            report_text.cancelled_text(FENCE, STARTED_AT, FINISHED_AT),
            Cancelled(**FENCE._asdict(), started_at=STARTED_AT, finished_at=FINISHED_AT),
        ),
        (report_text.given_back_text(FENCE, "draining"), GivenBack(**FENCE._asdict(), reason="draining")),
        (report_text.hello_text(HELLO), HELLO),
    ],
)
def test_reports_read_as_their_models(text: bytes, report: Report) -> None:
    """Every report, in a bundle, is read as the model that it stands for."""
    bundle = ReportBundle.model_validate_json(report_text.bundle_text("p-1", [text, text]))
    assert bundle == ReportBundle(processor_id="p-1", reports=[report, report])


def test_a_result_is_put_in_as_it_is() -> None:
    """Not even a number is written in another way."""
    assert b'"result":{"a":1.50}' in report_text.completed_text(FENCE, STARTED_AT, FINISHED_AT, b'{"a":1.50}')


@pytest.mark.parametrize("size", [1_000, 100_000, 260_000, MAX_BODY_BYTES - 128])
def test_reports_are_split_so_that_bundles_fit(size: int) -> None:
    """No bundle exceeds the limit, nothing is lost, the order stays, and a bundle is not smaller than it must be."""
    reports = [b"%05d" % number + b"x" * (size - 5) for number in range(1_700_000 // size + 1)]
    parts = report_text.split_for_bundles(reports)
    assert [report for part in parts for report in part] == reports
    processor_id = "p" * 64
    assert all(len(report_text.bundle_text(processor_id, part)) <= MAX_BODY_BYTES for part in parts)
    assert all(len(part) >= (MAX_BODY_BYTES - 128) // (size + 1) for part in parts[:-1])


def test_nothing_is_split_into_nothing() -> None:
    """Without reports there is no bundle."""
    assert report_text.split_for_bundles([]) == []
