from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from pydantic import JsonValue

from taskmill.contracts.errors import (
    FieldNotEditableError,
    IllegalTransitionError,
    InvalidRequestError,
    PayloadTooLargeError,
    RevisionMismatchError,
    RunActiveError,
)
from taskmill.contracts.limits import MAX_PAYLOAD_BYTES
from taskmill.contracts.requests import EditableTask, UpdateTask
from taskmill.contracts.status import Priority, TaskStatus
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.documents import task_document
from taskmill.task_store.domain.editing import check_revision, decide_delete, decide_update, merge_patch
from taskmill.task_store.domain.state import TaskState
from tests.support.task_states import (
    NOW,
    TASK_ID,
    after,
    completed,
    failed,
    given_back,
    pending_task,
    queued_task,
    started,
)

POLICIES = {"max_attempts": 3, "backoff": {"base_seconds": 5}, "timeout_seconds": 30}

# RFC 7396, Appendix A: original, patch, result.
RFC_7396_CASES: list[tuple[JsonValue, JsonValue, JsonValue]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


def patch(changes: dict[str, Any]) -> UpdateTask:
    """A merge patch."""
    return UpdateTask(id=TASK_ID, changes=changes, is_merge_patch=True)


def put(changes: dict[str, Any], unchanged: Mapping[str, Any] | None = None) -> UpdateTask:
    """What a PUT asks for."""
    fields = {"id": str(TASK_ID), "changes": changes, "unchanged": dict(unchanged or {})}
    return UpdateTask.model_validate_json(orjson.dumps(fields))


def changes_told(decision: Decision) -> dict[str, Any]:
    """The `changes` of the one event of an update."""
    (event,) = decision.events
    changes: dict[str, Any] = orjson.loads(event.document)["data"]["changes"]
    return changes


@pytest.mark.parametrize(("original", "change", "result"), RFC_7396_CASES)
def test_merge_patch_is_that_of_the_rfc(original: JsonValue, change: JsonValue, result: JsonValue) -> None:
    """Every example of the RFC's appendix."""
    assert merge_patch(original, change) == result


def test_put_replaces_and_keeps_what_is_left_out() -> None:
    """A value replaces as a whole; a field that is left out keeps its own."""
    before = pending_task(payload={"a": 1, "b": 2}, description="old")
    decision = decide_update(before, put({"payload": {"c": 3}, "priority": "low"}), NOW)
    assert orjson.loads(decision.state.payload or "") == {"c": 3}
    assert decision.state.priority is Priority.LOW
    assert decision.state.description == "old"
    assert changes_told(decision) == {"payload": {"c": 3}, "priority": "low"}
    assert (decision.state.version, decision.state.revision) == (2, 2)


def test_patch_merges_inside_and_clears_to_the_default() -> None:
    """Null removes: a label, a part of the payload, and a whole field, which gets the default of creation."""
    before = pending_task(payload={"a": 1, "b": {"c": 2}}, labels={"x": "1", "y": "2"}, priority="high", queue="web")
    asked = patch({"payload": {"b": {"c": None}}, "labels": {"x": None}, "priority": None, "queue": None})
    after_it = decide_update(before, asked, NOW).state
    assert orjson.loads(after_it.payload or "") == {"a": 1, "b": {}}
    assert orjson.loads(after_it.labels) == {"y": "2"}
    assert (after_it.priority, after_it.queue) == (Priority.MEDIUM, "default")


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"title": None}, "/title"),
        ({"title": ""}, "/title"),
        ({"title": 5}, "/title"),
        ({"priority": "urgent"}, "/priority"),
        ({"labels": {"a": 1}}, "/labels/a"),
        ({"status": "paused"}, "/status"),
        ({"colour": "red"}, "/colour"),
        ({"version": 7}, "/version"),
    ],
)
def test_the_outcome_must_be_a_task(changes: dict[str, Any], pointer: str) -> None:
    """What the fields may not become is refused, with a pointer to the field."""
    with pytest.raises(InvalidRequestError) as refusal:
        decide_update(pending_task(), patch(changes), NOW)
    assert [problem.pointer for problem in refusal.value.errors] == [pointer]


def test_a_payload_may_not_grow_past_its_limit() -> None:
    """The limit holds for what a patch makes of the payload."""
    before = pending_task(payload={"a": "x" * (MAX_PAYLOAD_BYTES - 100)})
    with pytest.raises(PayloadTooLargeError):
        decide_update(before, patch({"payload": {"b": "y" * 200}}), NOW)


@pytest.mark.parametrize("asked", [put({}), put({"title": "Fetch the front page"}), patch({"payload": None})])
def test_an_update_that_changes_nothing_is_no_event(asked: UpdateTask) -> None:
    """Sending what is there already leaves version and revision alone."""
    before = pending_task()
    assert decide_update(before, asked, NOW) == Decision(before)


@pytest.mark.parametrize(
    "state",
    [pending_task(), pending_task(**POLICIES), after(queued_task(), failed()), after(queued_task(), completed())],
)
def test_the_task_as_it_was_read_changes_nothing(state: TaskState) -> None:
    """PUT takes the body that GET gave, server fields and all but what the gateway leaves out."""
    body = orjson.loads(task_document(state))
    body.pop("waiting_for")
    changes = {name: body.pop(name) for name in EditableTask.model_fields}
    assert decide_update(state, put(changes, unchanged=body), NOW) == Decision(state)


@pytest.mark.parametrize(
    "unchanged",
    [
        {"version": 2},
        {"is_run_active": True},
        {"created_at": "2026-11-24T12:00:01Z"},
        {"result": False},
        {"progress": {"fraction": 0.5}},
        {"processor_id": "somebody"},
    ],
)
def test_a_changed_server_field_is_refused(unchanged: dict[str, Any]) -> None:
    """A field that only Taskmill sets must be as it is, or be left out."""
    with pytest.raises(FieldNotEditableError) as refusal:
        decide_update(pending_task(), put({"title": "new"}, unchanged), NOW)
    assert [problem.pointer for problem in refusal.value.errors] == [f"/{name}" for name in unchanged]


def test_false_is_not_zero() -> None:
    """JSON values are compared as JSON, not as Python has it."""
    before = pending_task(payload={"a": 0})
    assert changes_told(decide_update(before, put({"payload": {"a": False}}), NOW)) == {"payload": {"a": False}}


@pytest.mark.parametrize("state", [queued_task(), after(queued_task(), started())], ids=["queued", "in progress"])
@pytest.mark.parametrize(
    "changes", [{"priority": "low"}, {"payload": 1}, {"kind": "sleep"}, {"queue": "web"}, {"status": "pending"}]
)
def test_a_run_forbids_what_the_work_item_holds(state: TaskState, changes: dict[str, Any]) -> None:
    """What a processor may be working on cannot change beneath it."""
    with pytest.raises(RunActiveError):
        decide_update(state, put(changes), NOW)


@pytest.mark.parametrize("changes", [{"title": "new"}, {"description": "new"}, {"labels": {"a": "b"}}])
def test_a_run_allows_what_is_for_people(changes: dict[str, Any]) -> None:
    """Title, description and labels may change at any time."""
    assert changes_told(decide_update(queued_task(), put(changes), NOW)) == changes


def test_a_scheduled_task_may_get_another_priority_and_payload() -> None:
    """While it waits for its time, its next work item is not made yet."""
    scheduled = after(queued_task(), given_back(reason="unknown_kind"))
    assert decide_update(scheduled, put({"priority": "low", "payload": 1}), NOW).state.payload == "1"
    with pytest.raises(RunActiveError):
        decide_update(scheduled, put({"kind": "sleep"}), NOW)


@pytest.mark.parametrize("wanted", [TaskStatus.IN_PROGRESS, TaskStatus.COMPLETED])
def test_a_person_may_keep_a_task_by_hand(wanted: TaskStatus) -> None:
    """Without a run, the status may be set, and set back."""
    state = decide_update(pending_task(), put({"status": wanted.value}), NOW).state
    assert (state.status, state.is_run_active) == (wanted, False)
    assert decide_update(state, put({"status": "pending"}), NOW).state.status is TaskStatus.PENDING


@pytest.mark.parametrize("wanted", ["queued", "scheduled", "failed"])
def test_only_some_statuses_may_be_set(wanted: str) -> None:
    """What only a run leads to cannot be set by hand."""
    with pytest.raises(IllegalTransitionError):
        decide_update(pending_task(), put({"status": wanted}), NOW)


def test_a_failed_task_is_processed_again_not_set_back() -> None:
    """The table has no way from failed by hand."""
    with pytest.raises(IllegalTransitionError):
        decide_update(after(queued_task(), failed()), put({"status": "pending"}), NOW)


def test_the_revision_guards() -> None:
    """Only the present revision passes; none is asked for: any passes."""
    state = pending_task()
    check_revision(state, None)
    check_revision(state, 1)
    with pytest.raises(RevisionMismatchError):
        check_revision(state, 2)


def test_deleting_needs_that_no_run_is_active() -> None:
    """A task that a processor may be working on stays."""
    with pytest.raises(RunActiveError):
        decide_delete(queued_task(), NOW)
    decision = decide_delete(pending_task(), NOW)
    assert decision.state.version == 2
    assert [event.type.value for event in decision.events] == ["deleted"]
