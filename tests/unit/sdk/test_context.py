"""What a handler learns from its context, and tells by it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from taskmill.contracts.reports import Checkpointed, HandlerReport, Progressed
from taskmill.contracts.status import Priority
from taskmill.contracts.tasks import Progress
from taskmill.contracts.text import storable_text
from taskmill.contracts.work import WorkItem
from taskmill.sdk import Context, GiveUp, InvalidPayloadError, RetryLater, TaskFailedError
from taskmill.sdk.context import Unstopped

TASK_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
DEADLINE = datetime(2026, 1, 2, tzinfo=UTC)


def work_item() -> WorkItem:
    """What asked for an attempt."""
    return WorkItem(
        task_id=TASK_ID,
        run=2,
        attempt=3,
        dispatch=4,
        attempt_limit=5,
        title="A title",
        kind="k",
        queue="q",
        priority=Priority.LOW,
        labels={"a": "b"},
    )


def new_context(told: list[Progress]) -> Context:
    """A context whose progress is added to `told`."""

    def tell(report_type: type[HandlerReport], /, **content: Any) -> None:
        assert report_type is Progressed
        told.append(content["progress"])

    return Context(work_item(), tell, control=Unstopped(DEADLINE))


def test_a_context_knows_its_task() -> None:
    """Everything about the task but the payload, which the handler is given beside it."""
    context = new_context([])
    assert (context.task_id, context.run, context.attempt, context.attempt_limit) == (TASK_ID, 2, 3, 5)
    assert context.deadline == DEADLINE
    assert (context.kind, context.queue, context.priority) == ("k", "q", Priority.LOW)
    assert (context.title, context.labels) == ("A title", {"a": "b"})


def test_the_idempotency_token_names_task_and_run() -> None:
    """It is the same in all attempts of a run."""
    assert new_context([]).idempotency_token == f"{TASK_ID}:2"


def test_progress_is_handed_on() -> None:
    """The fraction and a message that can be stored."""
    told: list[Progress] = []
    new_context(told).progress(0.5, "a\x00" + "b" * 300)
    assert told[0].fraction == 0.5
    assert told[0].message == "a\ufffd" + "b" * 197 + "…"


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan"), float("inf")])
def test_progress_out_of_bounds_is_refused(fraction: float) -> None:
    """A fraction is between 0 and 1."""
    told: list[Progress] = []
    with pytest.raises(ValueError, match="between 0 and 1"):
        new_context(told).progress(fraction)
    assert told == []


def checkpoints_of(*values: Any) -> list[Any]:
    """What is told of these checkpoints, one after another."""
    told: list[Any] = []

    def tell(report_type: type[HandlerReport], /, **content: Any) -> None:
        if report_type is Checkpointed:
            told.append(content["checkpoint"])

    context = Context(work_item(), tell)
    for value in values:
        context.progress(0.5, checkpoint=value)
    return told


def test_a_checkpoint_is_handed_on_as_it_was() -> None:
    """As plain JSON, whatever becomes of the value; None says nothing."""
    seen = ["a"]

    def tell(_: type[HandlerReport], /, **content: Any) -> None:
        told.append(content)

    told: list[Any] = []
    Context(work_item(), tell).progress(0.5, checkpoint={"seen": seen, "at": DEADLINE})
    seen.append("b")
    assert told[0]["checkpoint"] == {"seen": ["a"], "at": "2026-01-02T00:00:00Z"}
    assert checkpoints_of(None, 0, False, "") == [0, False, ""]


@pytest.mark.parametrize(
    ("checkpoint", "reason"),
    [
        ("x" * 65_535, "larger than 65536 bytes"),
        ({"a\x00": 1}, "kept exactly"),
        (float("nan"), "kept exactly"),
        (2**64, "kept exactly"),
        ("\ud800", "cannot be written"),
        (object(), "cannot be written"),
    ],
)
def test_a_checkpoint_that_cannot_be_kept_is_refused(checkpoint: Any, reason: str) -> None:
    """In the handler, where it can be mended; nothing is told."""
    told: list[Progress] = []
    with pytest.raises(ValueError, match=reason):
        new_context(told).progress(0.5, checkpoint=checkpoint)
    assert told == []


def test_the_largest_checkpoint_is_taken() -> None:
    """64 KiB, quotes included."""
    assert checkpoints_of("x" * 65_534) == ["x" * 65_534]


def test_a_context_knows_where_an_earlier_execution_was() -> None:
    """None when there was none, or it left nothing."""
    assert new_context([]).checkpoint is None
    item = work_item().model_copy(update={"checkpoint": {"page": 3}})
    assert Context(item, lambda *_, **__: None).checkpoint == {"page": 3}


def test_the_log_names_the_task() -> None:
    """Every line of a handler's logger says which task it is about."""
    assert new_context([]).log._context["task_id"] == str(TASK_ID)


def test_a_failure_has_a_code() -> None:
    """A code that is no token is a programmer's mistake."""
    assert TaskFailedError("quota_exceeded", "Too much.").code == "quota_exceeded"
    assert InvalidPayloadError("No.").code == "invalid_payload"
    with pytest.raises(ValueError, match="code of a failure"):
        TaskFailedError("Quota exceeded", "Too much.")


def test_a_failure_says_what_follows() -> None:
    """Another attempt by the backoff, another one at a time of the handler's, or none."""
    plain, later, never = TaskFailedError("a", "b"), RetryLater(1.5, "Busy."), GiveUp("Gone.")
    assert (plain.is_final, plain.retry_after_seconds) == (False, None)
    assert (later.is_final, later.retry_after_seconds, str(later)) == (False, 1.5, "Busy.")
    assert (never.is_final, never.retry_after_seconds, str(never)) == (True, None, "Gone.")


@pytest.mark.parametrize("seconds", [-1, 7 * 24 * 3600 + 1, float("nan"), float("inf")])
def test_a_wait_out_of_bounds_is_refused(seconds: float) -> None:
    """The next attempt is at most a week away."""
    with pytest.raises(ValueError, match="the wait"):
        RetryLater(seconds)


@pytest.mark.parametrize(
    ("text", "stored"),
    [("plain", "plain"), ("12345678", "12345678"), ("123456789", "1234567…"), ("a\x00", "a\ufffd"), ("\ud800", "?")],
)
def test_text_is_made_storable(text: str, stored: str) -> None:
    """It is cut, and what cannot be stored is replaced."""
    assert storable_text(text, 8) == stored
