"""Documents are composed from plain values, for speed; the models of the contracts say whether they are right."""

from typing import Any

import orjson
import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from taskmill.contracts.events import EVENT_DATA, EventType, TaskEvent
from taskmill.contracts.limits import MAX_BODY_BYTES
from taskmill.contracts.requests import ClientFields, CreateTasksReply, UpdateTask
from taskmill.contracts.tasks import Attempt, Task, TaskLine, TaskSummary
from taskmill.task_store.domain.creation import decide_create
from taskmill.task_store.domain.documents import (
    attempt_document,
    fitting,
    line_document,
    page_document,
    receipts_document,
    summary_document,
    task_document,
)
from taskmill.task_store.domain.editing import decide_delete, decide_update
from taskmill.task_store.domain.endings import decide_cancel, replaced
from taskmill.task_store.domain.events import LoggedEvent
from taskmill.task_store.domain.reports import decide_report
from taskmill.task_store.domain.retries import NO_DEFAULTS
from taskmill.task_store.domain.state import TaskState, newest_attempt
from tests.support.task_states import (
    HEARING,
    NOW,
    SUBMITTED_ID,
    TASK_ID,
    after,
    cancelling_task,
    completed,
    create_request,
    failed,
    given_back,
    logged,
    pending_task,
    progressed,
    queued_task,
    started,
)

RICH = {
    "description": "Größer als 🐘",
    "labels": {"team": "web", "b": ""},
    "payload": {"nested": [1, 2.5, None, "é\n"], "big": 2**63 - 1},
    "priority": "critical",
    "kind": "http-request",
    "queue": "web",
    "max_attempts": 3,
    "backoff": {"base_seconds": 1.5, "factor": 2.0, "cap_seconds": 60.0, "jitter": 0.0},
    "timeout_seconds": 30.5,
}


def one_event_of_each_type() -> dict[EventType, LoggedEvent]:
    """An event of every type, made by the rule that makes it."""
    queued = queued_task(**RICH)
    running = after(queued, started())
    decisions = [
        decide_create(create_request(process=True, **RICH), NO_DEFAULTS, NOW),
        decide_update(pending_task(**RICH), UpdateTask(id=TASK_ID, changes={"title": "new", "payload": {"a": 1}}), NOW),
        decide_report(queued, given_back(reason="unknown_kind"), HEARING),
        decide_report(running, progressed(), HEARING),
        decide_report(running, logged(), HEARING),
        decide_report(queued, completed(result=[{"a": "b"}]), HEARING),
        decide_report(queued, failed(is_final=True), HEARING),
        decide_cancel(running, NOW),
        replaced(queued, SUBMITTED_ID, NOW),
        decide_delete(pending_task(**RICH), NOW, reason="retention"),
    ]
    return {event.type: event for decision in decisions for event in decision.events}


EVENTS = one_event_of_each_type()


def test_every_type_of_event_is_made() -> None:
    """The rules make every event that the contracts know."""
    assert set(EVENTS) == set(EventType)


@pytest.mark.parametrize("event_type", list(EventType))
def test_events_fit_their_models(event_type: EventType) -> None:
    """Envelope and data say what their models want, and nothing that the models do not know."""
    document = orjson.loads(EVENTS[event_type].document)
    event = TaskEvent.model_validate(document)
    assert set(document) == set(TaskEvent.model_fields) - {"traceparent"}
    assert event.type == event_type.cloud_event_type
    model = EVENT_DATA[event_type]
    data = model.model_validate_json(orjson.dumps(event.data), strict=True)
    assert set(event.data) == set(model.model_fields)
    assert data.model_dump(mode="json") == model.model_validate(event.data).model_dump(mode="json")
    assert EVENTS[event_type].kind == data.kind


@pytest.mark.parametrize("event_type", list(EventType))
def test_events_are_cloud_events(event_type: EventType) -> None:
    """The reference implementation of CloudEvents reads them."""
    text = EVENTS[event_type].document.encode()
    event = JSONFormat().read(CloudEvent, text)
    assert event.get_id() == f"{TASK_ID}.{orjson.loads(text)['sequence']}"
    assert event.get_subject() == str(TASK_ID)
    assert event.get_time() == NOW


def test_only_queued_events_ask_for_work() -> None:
    """The dispatch stands beside a queued event, for the relay, and beside no other."""
    asking = {event_type for event_type, event in EVENTS.items() if event.dispatch is not None}
    assert asking == {EventType.QUEUED}


TASKS = {
    "pending": pending_task(**RICH),
    "in progress": after(queued_task(**RICH), started(), progressed()),
    "scheduled": after(queued_task(**RICH), given_back(reason="unknown_kind")),
    "completed": after(queued_task(**RICH), completed(result={"status": 200})),
    "failed": after(queued_task(**RICH), failed(is_final=True)),
    "to be retried": after(queued_task(**RICH), failed()),
    "to be cancelled": cancelling_task(**RICH),
}


def as_told(model: Any) -> dict[str, Any]:
    """A model as plain values, instants as text."""
    told: dict[str, Any] = model.model_dump(mode="json")
    return told


@pytest.mark.parametrize("state", TASKS.values(), ids=TASKS.keys())
def test_a_task_fits_its_model(state: TaskState) -> None:
    """A task's document is what its model would write."""
    document = orjson.loads(task_document(state))
    assert document == as_told(Task.model_validate_json(task_document(state), strict=True))
    assert document["payload"] == RICH["payload"]


@pytest.mark.parametrize("state", TASKS.values(), ids=TASKS.keys())
def test_a_summary_is_the_task_without_payload_and_result(state: TaskState) -> None:
    """A list tells of a task what the task tells of itself, less what is large."""
    document = orjson.loads(summary_document(state))
    assert document == as_told(TaskSummary.model_validate_json(summary_document(state), strict=True))
    whole = orjson.loads(task_document(state))
    assert document == {name: value for name, value in whole.items() if name not in {"payload", "result"}}


def test_all_that_a_client_says_is_told() -> None:
    """No field gets lost on the way from the request to the task and to the event of its creation."""
    said = {"title": "Fetch the front page", **RICH}
    assert said.keys() == {*ClientFields.model_fields, "queue"}
    (event,) = decide_create(create_request(**RICH), NO_DEFAULTS, NOW).events
    for document in (orjson.loads(task_document(pending_task(**RICH))), orjson.loads(event.document)["data"]):
        assert {name: document[name] for name in said} == said


def test_receipts_fit_their_model() -> None:
    """A bulk request is answered in its model's form, in order."""
    states = [TASKS["pending"], TASKS["completed"]]
    text = receipts_document(states, {TASK_ID})
    assert orjson.loads(text) == as_told(CreateTasksReply.model_validate_json(text, strict=True))
    new = [{name: told for name, told in item.items() if name != "is_existing"} for item in orjson.loads(text)["items"]]
    assert orjson.loads(receipts_document(states))["items"] == new


@pytest.mark.parametrize("name", ["in progress", "completed", "failed"])
def test_an_attempt_fits_its_model(name: str) -> None:
    """An attempt's document is what its model would write."""
    attempt = newest_attempt(TASKS[name])
    assert attempt is not None
    text = attempt_document(attempt._replace(traceback="Traceback: …"))
    assert orjson.loads(text) == as_told(Attempt.model_validate_json(text, strict=True))


def test_a_line_fits_its_model() -> None:
    """A line's document is what its model would write."""
    (line,) = decide_report(TASKS["in progress"], logged(), HEARING).lines
    text = line_document(line)
    assert orjson.loads(text) == as_told(TaskLine.model_validate_json(text, strict=True))


def test_a_page_ends_before_it_is_too_large() -> None:
    """As many items as fit, in order; one alone is shown whatever its size."""
    third = b"x" * (MAX_BODY_BYTES // 3)
    assert fitting([third] * 4) == [third] * 2
    assert fitting([third[:-1]] * 4) == [third[:-1]] * 3
    assert fitting([b"x" * 2 * MAX_BODY_BYTES, b"y"]) == [b"x" * 2 * MAX_BODY_BYTES]
    assert fitting([]) == []


def test_a_page_is_json() -> None:
    """Items stand in a page byte for byte."""
    assert page_document([b'{"a": 1}', b"2"], "next") == b'{"items":[{"a": 1},2],"next_cursor":"next"}'
    assert orjson.loads(page_document([], None)) == {"items": [], "next_cursor": None}
    assert page_document([], None, dropped=7) == b'{"items":[],"dropped":7,"next_cursor":null}'
