"""Unique keys: what becomes of a new task while another one holds its key, and when a key is released."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from pydantic import ValidationError

from taskmill.contracts.errors import InvalidRequestError, QueueFullError, UniqueKeyHeldError
from taskmill.contracts.reports import ReportBundle
from taskmill.contracts.requests import CreateTask, CreateTasks, DeleteTask, IdempotencyKey, ProcessTask
from taskmill.contracts.status import TaskStatus
from taskmill.task_store.adapters.statements import write_statement
from taskmill.task_store.domain.batch import Batch
from taskmill.task_store.domain.bulk_operations import BulkBook
from taskmill.task_store.domain.idempotency import KeyBook
from taskmill.task_store.domain.kinds import KindBook
from taskmill.task_store.domain.operations import Answer, MakeDue
from taskmill.task_store.domain.queues import QueueBook
from taskmill.task_store.domain.state import TaskState
from taskmill.task_store.domain.unique_keys import KeyHold, KeyRelease, UniqueBook
from tests.support.task_states import (
    NOW,
    RULES,
    SUBMITTED_ID,
    TASK_ID,
    after,
    completed,
    create_request,
    failed,
    no_jitter,
    pending_task,
    queued_task,
    started,
    submitted,
)

NEW_ID = UUID("01a20000-0000-7000-8000-000000000002")
THIRD_ID = UUID("01a20000-0000-7000-8000-000000000003")
SOON = NOW + timedelta(seconds=5)


def unique(on_conflict: str = "reject", key: str = "k", **more: Any) -> dict[str, Any]:
    """What a request says of its key."""
    if on_conflict == "debounce":
        more = {"debounce_seconds": 5, **more}
    return {"unique": {"key": key, "on_conflict": on_conflict, **more}}


def held(
    state: TaskState, *, expires_at: datetime | None = None, is_debounced: bool = False, key: str = "k"
) -> KeyHold:
    """What the table has of a task that holds a key."""
    return KeyHold(key, state.id, is_debounced, expires_at)


def batch(
    *states: TaskState,
    holds: Iterable[KeyHold] = (),
    named: Iterable[str] = ("k", "l"),
    now: datetime = NOW,
    max_waiting: int = 10,
    waiting: int = 0,
) -> Batch:
    """A batch that has read these tasks, and who holds these keys."""
    return Batch(
        states,
        (),
        queues=QueueBook({"default": waiting}, 3, max_waiting),
        kinds=KindBook({}),
        keys=KeyBook(()),
        bulk_operations=BulkBook(()),
        services=(),
        rules=RULES,
        now=now,
        random=no_jitter,
        unique=UniqueBook(named, holds),
    )


def new_task(task_id: UUID = NEW_ID, **fields: Any) -> CreateTask:
    """A request for a task."""
    return CreateTask.model_validate({"id": task_id, "title": "New", **fields})


def told(of: Batch) -> list[tuple[UUID, str]]:
    """What happened, in the order of the log."""
    return [(event.task_id, event.type.value) for event in of.tasks.events]


def data(of: Batch, index: int) -> dict[str, Any]:
    """What an event tells."""
    found: dict[str, Any] = orjson.loads(of.tasks.events[index].document)["data"]
    return found


WAITING = {
    "pending": pending_task(**unique()),
    "queued": queued_task(**unique()),
    "scheduled": after(pending_task(**unique()))._replace(
        status=TaskStatus.SCHEDULED, is_run_active=True, run=1, attempt=1, run_at=SOON
    ),
}
RUNNING = after(queued_task(**unique()), started())
DEBOUNCED = batch().decide(create_request(**unique("debounce"))).states[0]


def test_the_first_task_takes_the_key() -> None:
    """It is made as any, shows its key, and a row of the key is to be inserted."""
    of = batch()
    answer = of.decide(new_task(process=True, **unique(held_for_seconds=60)))
    assert (answer.states[0].status, answer.states[0].unique_key, answer.existing) == ("queued", "k", frozenset())
    assert of.unique.inserted == [KeyHold("k", NEW_ID, False, NOW + timedelta(seconds=60))]
    assert (of.unique.moved, of.unique.removed) == ([], [])
    assert data(of, 0)["unique_key"] == "k"


def test_a_task_without_a_key_changes_nothing_of_keys() -> None:
    """Nor does its end."""
    of = batch(queued_task())
    of.decide(new_task(process=True))
    of.decide(ReportBundle(processor_id="processor-1", reports=[completed()]))
    assert (of.unique.inserted, of.unique.moved, of.unique.removed) == ([], [], [])


def test_the_statement_of_other_tasks_knows_no_unique_keys() -> None:
    """What is not used costs nothing: it is left out."""
    assert "unique_keys" not in write_statement(("created", "moved", "events"))
    assert "unique_keys" in write_statement(("created", "moved", "unique", "events"))


@pytest.mark.parametrize("state", [*WAITING.values(), RUNNING], ids=[*WAITING, "in progress"])
def test_reject_names_the_holder(state: TaskState) -> None:
    """Whatever it does; and everything stays as it was."""
    of = batch(state, holds=[held(state)])
    with pytest.raises(UniqueKeyHeldError) as refusal:
        of.decide(new_task(**unique()))
    problem = refusal.value.problem()
    assert (problem.code, problem.task_id) == ("unique_key_held", TASK_ID)
    assert [error.pointer for error in problem.errors] == ["/unique/key"]
    assert (of.tasks.created, of.tasks.events, of.unique.inserted, of.unique.moved) == ([], [], [], [])


@pytest.mark.parametrize("state", [*WAITING.values(), RUNNING], ids=[*WAITING, "in progress"])
def test_return_existing_answers_with_the_holder(state: TaskState) -> None:
    """Nothing is made, and the answer says so, also the one that is kept under an idempotency key."""
    of = batch(state, holds=[held(state)])
    key = IdempotencyKey(key="x", fingerprint="a" * 64)
    request = new_task(**unique("return_existing"))
    answer = of.decide(request)
    assert (answer.states, set(answer.existing)) == ((state,), {TASK_ID})
    keyed = of.decide(request.model_copy(update={"idempotency": key})).keyed
    replayed = of.decide(request.model_copy(update={"idempotency": key})).keyed
    assert keyed is not None
    assert keyed.is_existing
    assert replayed == keyed._replace(is_replayed=True)
    assert (of.tasks.created, of.tasks.events) == ([], [])


@pytest.mark.parametrize("state", WAITING.values(), ids=WAITING)
def test_replace_waiting_cancels_who_waits(state: TaskState) -> None:
    """In the same batch; the event says which task took its place, and the key passes on."""
    of = batch(state, holds=[held(state)])
    answer = of.decide(new_task(process=True, **unique("replace_waiting")))
    assert answer.states[0].id == NEW_ID
    assert told(of) == [(TASK_ID, "cancelled"), (NEW_ID, "created"), (NEW_ID, "queued")]
    assert (data(of, 0)["cancellation"], data(of, 0)["replaced_by"]) == ("before_start", str(NEW_ID))
    assert of.unique.moved == [(KeyHold("k", NEW_ID, False, None), TASK_ID)]
    assert (of.unique.inserted, of.unique.removed) == ([], [])


def test_replace_waiting_refuses_beside_one_in_progress() -> None:
    """It is not stopped for another."""
    of = batch(RUNNING, holds=[held(RUNNING)])
    with pytest.raises(UniqueKeyHeldError):
        of.decide(new_task(**unique("replace_waiting")))
    assert of.tasks.events == []


def test_who_is_replaced_makes_room_in_the_queue() -> None:
    """In a full queue one takes the place of the other; any other finds no room, and replaces nobody."""
    state = WAITING["queued"]
    of = batch(state, holds=[held(state)], max_waiting=3, waiting=3)
    of.decide(new_task(process=True, **unique("replace_waiting")))
    assert [change.delta for change in of.queues.changes] == [0]
    pending = WAITING["pending"]
    of = batch(pending, holds=[held(pending)], max_waiting=3, waiting=3)
    with pytest.raises(QueueFullError):
        of.decide(new_task(process=True, **unique("replace_waiting")))
    assert (of.tasks.events, of.unique.moved) == ([], [])


def test_debounce_makes_one_that_waits() -> None:
    """The first is scheduled, though it does not ask for processing."""
    assert (DEBOUNCED.status, DEBOUNCED.run_at, DEBOUNCED.unique_key) == ("scheduled", SOON, "k")


def test_debounce_puts_off_who_waits() -> None:
    """It becomes what was asked last, and waits anew from then on."""
    later = NOW + timedelta(seconds=3)
    of = batch(DEBOUNCED, holds=[held(DEBOUNCED, is_debounced=True)], now=later)
    wanted: dict[str, Any] = {
        "title": "Last",
        "payload": {"n": 2},
        "priority": "high",
        "labels": {"a": "b"},
        "description": "more",
    }
    answer = of.decide(new_task(**wanted, **unique("debounce", debounce_seconds=9)))
    (state,) = answer.states
    assert answer.existing == {TASK_ID}
    assert (state.id, state.title, state.priority, state.description) == (TASK_ID, "Last", "high", "more")
    assert (orjson.loads(state.payload or ""), orjson.loads(state.labels)) == ({"n": 2}, {"a": "b"})
    assert (state.status, state.run_at) == ("scheduled", later + timedelta(seconds=9))
    assert told(of) == [(TASK_ID, "updated"), (TASK_ID, "scheduled")]
    assert data(of, 0)["changes"].keys() == wanted.keys()
    assert data(of, 1)["reason"] == "debounced"
    assert (of.unique.inserted, of.unique.moved, of.unique.removed) == ([], [], [])
    assert of.tasks.next_run_at == state.run_at


@pytest.mark.parametrize(("seconds_later", "run_at"), [(3, 8), (7, 10), (12, 12)])
def test_debounce_puts_off_for_so_long_at_most(seconds_later: int, run_at: int) -> None:
    """Counted from the creation; when that is over, it is due at once."""
    of = batch(DEBOUNCED, holds=[held(DEBOUNCED, is_debounced=True)], now=NOW + timedelta(seconds=seconds_later))
    (state,) = of.decide(new_task(**unique("debounce", debounce_max_seconds=10))).states
    assert state.run_at == NOW + timedelta(seconds=run_at)


def test_debounce_begins_anew_once_it_is_queued() -> None:
    """The key is released with that, in the same batch, and the next one waits beside it."""
    of = batch(DEBOUNCED, holds=[held(DEBOUNCED, is_debounced=True)], now=SOON)
    of.decide(MakeDue((TASK_ID,)))
    assert of.unique.removed == [KeyRelease("k", TASK_ID, True)]
    of.decide(new_task(**unique("debounce")))
    assert of.unique.moved == [(KeyHold("k", NEW_ID, True, None), TASK_ID)]
    assert [state.status for state in of.tasks.states.values()] == ["queued", "scheduled"]


@pytest.mark.parametrize(
    ("state", "is_debounced", "kind"), [(WAITING["scheduled"], False, "echo"), (DEBOUNCED, True, "other")]
)
def test_debounce_is_refused_where_it_would_change_another_work(
    state: TaskState, is_debounced: bool, kind: str
) -> None:
    """A task that was not made to be debounced, or of another kind."""
    of = batch(state, holds=[held(state, is_debounced=is_debounced)])
    with pytest.raises(UniqueKeyHeldError):
        of.decide(new_task(kind=kind, **unique("debounce")))
    assert of.tasks.events == []


def test_a_key_is_held_no_longer_than_it_says() -> None:
    """At that moment another task may have it; the end of the first releases nothing of it."""
    state = WAITING["queued"]
    holds = [held(state, expires_at=SOON)]
    with pytest.raises(UniqueKeyHeldError):
        batch(state, holds=holds, now=SOON - timedelta(microseconds=1)).decide(new_task(**unique()))
    of = batch(state, holds=holds, now=SOON)
    of.decide(new_task(**unique()))
    of.decide(ReportBundle(processor_id="processor-1", reports=[completed()]))
    assert of.unique.moved == [(KeyHold("k", NEW_ID, False, None), TASK_ID)]
    assert of.unique.removed == []


@pytest.mark.parametrize("report", [completed(), failed(is_final=True)], ids=["completed", "failed"])
@pytest.mark.parametrize("named", [(), ("k",)], ids=["unread", "read"])
def test_the_end_releases_the_key(report: Any, named: tuple[str, ...]) -> None:
    """With the event of the end, whether the key was read or not."""
    state = WAITING["queued"]
    of = batch(state, holds=[held(state)] if named else [], named=named)
    of.decide(ReportBundle(processor_id="processor-1", reports=[report]))
    assert of.unique.removed == [KeyRelease("k", TASK_ID, True)]


def test_a_failure_that_is_tried_again_keeps_the_key() -> None:
    """The run goes on."""
    of = batch(queued_task(max_attempts=2, **unique()), named=())
    of.decide(ReportBundle(processor_id="processor-1", reports=[failed()]))
    assert of.tasks.states[TASK_ID].status is TaskStatus.SCHEDULED
    assert of.unique.removed == []


def test_a_deleted_task_releases_the_key() -> None:
    """Also one that never ended."""
    of = batch(WAITING["pending"], named=())
    of.decide(DeleteTask(id=TASK_ID))
    assert of.unique.removed == [KeyRelease("k", TASK_ID, True)]


def test_a_later_run_does_not_take_the_key_again() -> None:
    """What is processed once more runs beside a new task of the key."""
    ended = after(WAITING["queued"], completed())
    of = batch(ended)
    of.decide(ProcessTask(id=TASK_ID))
    of.decide(new_task(**unique()))
    assert of.unique.inserted == [KeyHold("k", NEW_ID, False, None)]


def test_a_holder_that_was_not_found_gives_way() -> None:
    """What is written then meets no such row, unless a store of an earlier release ended it without releasing."""
    ended = after(WAITING["queued"], completed())
    of = batch(ended, holds=[held(ended)])
    of.decide(new_task(**unique()))
    assert of.unique.moved == [(KeyHold("k", NEW_ID, False, None), TASK_ID)]


def test_a_batch_is_refused_for_its_keys() -> None:
    """It says for which of the tasks, and makes none."""
    state = WAITING["queued"]
    of = batch(state, holds=[held(state)])
    tasks = [{"id": NEW_ID, "title": "a"}, {"id": THIRD_ID, "title": "b", **unique()}]
    with pytest.raises(UniqueKeyHeldError) as refusal:
        of.decide(CreateTasks.model_validate({"tasks": tasks}))
    assert [error.pointer for error in refusal.value.errors] == ["/tasks/1/unique/key"]
    assert refusal.value.task_id == TASK_ID
    assert (of.tasks.created, of.tasks.events, of.unique.inserted) == ([], [], [])


def test_a_batch_has_each_key_once() -> None:
    """Which of the two should hold it, nobody could say."""
    of = batch()
    tasks = [{"id": NEW_ID, "title": "a", **unique("return_existing")}, {"id": THIRD_ID, "title": "b", **unique()}]
    with pytest.raises(InvalidRequestError) as refusal:
        of.decide(CreateTasks.model_validate({"tasks": tasks}))
    assert [(error.pointer, error.code) for error in refusal.value.errors] == [("/tasks/1/unique/key", "repeated_key")]
    assert (of.tasks.created, of.unique.inserted) == ([], [])


def test_a_batch_tells_who_was_there_before() -> None:
    """In the place of the task that was wanted."""
    state = WAITING["queued"]
    of = batch(state, holds=[held(state)])
    tasks = [
        {"id": NEW_ID, "title": "a", **unique("return_existing")},
        {"id": THIRD_ID, "title": "b", **unique(key="l")},
    ]
    answer: Answer = of.decide(CreateTasks.model_validate({"tasks": tasks}))
    assert [found.id for found in answer.states] == [TASK_ID, THIRD_ID]
    assert answer.existing == {TASK_ID}


@pytest.mark.parametrize(
    ("on_conflict", "is_made"), [("reject", False), ("return_existing", False), ("replace_waiting", True)]
)
def test_a_handler_submits_under_a_key(on_conflict: str, is_made: bool) -> None:
    """A task that is not made changes nothing else: the report is taken in, and nobody crashes."""
    running = after(queued_task(), started())
    holder = queued_task(**unique())._replace(id=THIRD_ID)
    of = batch(running, holder, holds=[held(holder)])
    reports = [submitted(**unique(on_conflict)), completed()]
    of.decide(ReportBundle(processor_id="processor-1", reports=reports))
    assert (SUBMITTED_ID in of.tasks.states) == is_made
    assert of.tasks.states[TASK_ID].status is TaskStatus.COMPLETED
    assert of.tasks.states[THIRD_ID].status == ("cancelled" if is_made else "queued")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"unique": {"key": "k", "on_conflict": "debounce"}}, "debounce_seconds_missing"),
        ({"unique": {"key": "k", "debounce_seconds": 5}}, "not_debounced"),
        ({"unique": {"key": "k", "debounce_max_seconds": 5}}, "not_debounced"),
        (unique("debounce", held_for_seconds=5), "held_until_queued"),
        ({"run_at": "2030-01-01T00:00:00Z", **unique("debounce")}, "run_at_debounced"),
        ({"after": [str(THIRD_ID)], **unique("debounce")}, "after_debounced"),
        ({"unique": {"key": "a/b"}}, "string_pattern_mismatch"),
        ({"unique": {"key": ""}}, "string_pattern_mismatch"),
        ({"unique": {"key": "k", "on_conflict": "ignore"}}, "enum"),
        ({"unique": {"key": "k", "held_for_seconds": 0}}, "greater_than"),
        ({"unique": {"key": "k", "other": 1}}, "extra_forbidden"),
        ({"unique": {}}, "missing"),
    ],
)
def test_what_does_not_fit_together_is_refused(said: dict[str, Any], code: str) -> None:
    """Where it is said, with a code."""
    with pytest.raises(ValidationError) as refusal:
        new_task(**said)
    assert [error["type"] for error in refusal.value.errors()] == [code]
