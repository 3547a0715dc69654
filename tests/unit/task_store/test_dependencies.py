"""What a task waits for that comes after others, and when it goes on; and how groups are settled."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
import pytest

from taskmill.contracts.errors import InvalidRequestError
from taskmill.contracts.groups import CreateGroup, Group, GroupStatus
from taskmill.contracts.limits import MAX_REFUSAL_PROBLEMS
from taskmill.contracts.tasks import Cancellation, DependencyFailure
from taskmill.task_store.domain.creation import decide_create
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.dependencies import (
    FOLLOWS_GROUP,
    DependencyBook,
    Pair,
    ReadDependency,
    Standing,
    check_existence,
    precedence,
)
from taskmill.task_store.domain.endings import cancelled, completed, failed
from taskmill.task_store.domain.groups import group_document, new_group
from taskmill.task_store.domain.retries import NO_DEFAULTS
from taskmill.task_store.domain.runs import decide_process
from taskmill.task_store.domain.state import DependencyState, TaskState
from tests.support.task_states import NOW, after, create_request, pending_task, queued_task, started

IDS = [UUID(int=0x01A20000_0000_7000_8000_000000000010 + number) for number in range(5)]
ERROR = '{"code":"handler_error","message":"no"}'

AT_WORK = after(queued_task(), started())
COMPLETED = completed(AT_WORK, "1", NOW, NOW).state
FAILED = failed(AT_WORK, ERROR, NOW, NOW).state
CANCELLED = cancelled(pending_task(), Cancellation.BEFORE_START, NOW, NOW).state
AGAIN = decide_process(FAILED, NO_DEFAULTS, NOW).state

STANDINGS: list[tuple[TaskState | None, Standing]] = [
    (pending_task(), Standing.WAITING),
    (queued_task(), Standing.WAITING),
    (AT_WORK, Standing.WAITING),
    (AGAIN, Standing.WAITING),
    (COMPLETED, Standing.READY),
    (FAILED, Standing.FORBIDDEN),
    (CANCELLED, Standing.FORBIDDEN),
    (None, Standing.FORBIDDEN),
]


@pytest.mark.parametrize(("state", "standing"), STANDINGS)
def test_how_a_new_task_stands(state: TaskState | None, standing: Standing) -> None:
    """What has ended counts at once; with `process` any end counts as a completion."""
    states = {} if state is None else {IDS[0]: state}
    found = precedence(create_request(after=[IDS[0]]), states)
    assert found.standing is standing
    assert [row.after_version for row in found.dependencies] == (
        [state.version] if state and found.dependencies else []
    )
    all_the_same = precedence(create_request(after=[IDS[0]], on_dependency_failure="process"), states)
    assert all_the_same.standing is (Standing.WAITING if standing is Standing.WAITING else Standing.READY)


def test_one_that_was_not_completed_outweighs_those_that_are_awaited() -> None:
    """The task will not be processed, so it need not wait for the others."""
    found = precedence(create_request(after=IDS[:3]), {IDS[0]: AT_WORK, IDS[1]: FAILED, IDS[2]: COMPLETED})
    assert (found.standing, found.dependencies) == (Standing.FORBIDDEN, ())


def test_as_many_missing_ones_are_named_as_a_reply_can_hold() -> None:
    """A batch may name 17,000: were each told, no answer would come."""
    tasks = [create_request(after=[UUID(int=number) for number in range(100)]) for _ in range(170)]
    with pytest.raises(InvalidRequestError) as refusal:
        check_existence(tasks, {}, "/tasks/{}")
    errors = refusal.value.problem().errors or []
    assert [error.pointer for error in errors] == [f"/tasks/0/after/{number}" for number in range(MAX_REFUSAL_PROBLEMS)]


def held(task_id: UUID, **fields: Any) -> TaskState:
    """A task that is held."""
    return decide_create(create_request(**fields), NO_DEFAULTS, NOW, precedence=FOLLOWS_GROUP).state._replace(
        id=task_id
    )


def known(dependent_id: UUID, after_id: UUID, is_completed: bool | None, policy: str = "cancel") -> ReadDependency:
    """A dependency as it was read."""
    return ReadDependency(DependencyState(dependent_id, after_id, 1, DependencyFailure(policy), None), is_completed)


def released(book: DependencyBook, states: Mapping[UUID, TaskState], *pairs: Pair) -> dict[UUID, str]:
    """What is decided of tasks: their statuses."""
    decided: dict[UUID, str] = {}

    def take(decision: Decision) -> TaskState:
        decided[decision.state.id] = decision.state.status.value
        return decision.state

    book.release(pairs, states, take, NOW)
    return decided


def test_a_chain_ends_in_one_go() -> None:
    """What is cancelled cancels what comes after it; one that is processed all the same goes on."""
    a, b, c, d, e = IDS
    rows = [known(b, a, is_completed=False), known(c, b, None), known(d, c, None, "process"), known(e, d, None)]
    book = DependencyBook(rows, dict.fromkeys((b, c, d, e), 1))
    states = {task_id: held(task_id) for task_id in (b, c, d, e)}
    pairs = [Pair(row.state.dependent_id, row.state.after_id) for row in rows]
    assert released(book, states, *pairs) == {b: "cancelled", c: "cancelled", d: "queued"}
    assert (book.ended, book.removed) == ([b, c, d], [])
    assert released(book, states, *pairs) == {}


def test_a_task_goes_on_with_its_last_dependency() -> None:
    """Which was counted, though only those are read that may be decided."""
    a, b, c, d, _ = IDS
    book = DependencyBook([known(d, a, is_completed=True), known(d, b, is_completed=True)], {d: 3})
    assert released(book, {d: held(d)}, Pair(d, a), Pair(d, b), Pair(d, c)) == {}
    assert (book.removed, book.ended) == ([Pair(d, a), Pair(d, b)], [])


@pytest.mark.parametrize("state", [None, pending_task(), AT_WORK])
def test_what_is_held_no_longer_is_left_alone(state: TaskState | None) -> None:
    """Only its rows go."""
    a, b, *_ = IDS
    book = DependencyBook([known(b, a, is_completed=False)], {b: 1})
    assert released(book, {} if state is None else {b: state._replace(id=b)}, Pair(b, a)) == {}
    assert book.ended == [b]


@pytest.mark.parametrize(
    ("status", "by_status", "removed", "progress"),
    [
        ("open", {"queued": 4}, 0, 0),
        ("open", {"queued": 1, "completed": 1}, 2, 0.75),
        ("completed", {}, 4, 1),
        ("failed", {"completed": 1, "failed": 1}, 2, 0.25),
    ],
)
def test_how_far_a_group_is(status: str, by_status: Mapping[str, int], removed: int, progress: float) -> None:
    """What was removed from one that has not failed was completed."""
    tasks = [{"id": task_id, "title": "t"} for task_id in IDS[:4]]
    group = new_group(CreateGroup.model_validate({"id": IDS[4], "title": "g", "tasks": tasks}), NOW)
    document = group_document(group._replace(status=GroupStatus(status)), by_status)
    told = Group.model_validate(orjson.loads(document))
    assert (told.total, told.counts.removed, told.progress) == (4, removed, progress)
