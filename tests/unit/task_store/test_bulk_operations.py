"""How a bulk operation goes through its tasks."""

from typing import Any
from uuid import UUID

import orjson
import pytest

from taskmill.contracts.bulk_operations import BulkOperation, BulkStatus, BulkWait, StartBulkOperation
from taskmill.contracts.errors import QueueFullError, RunActiveError, TaskNotFoundError
from taskmill.contracts.requests import CancelTask, DeleteTask, ProcessTask
from taskmill.task_store.domain.bulk_operations import (
    BulkBook,
    BulkChunk,
    BulkOperationState,
    BulkRequest,
    Candidate,
    named_chunk,
)
from taskmill.task_store.domain.documents import bulk_operation_document
from taskmill.task_store.domain.state import TaskState
from tests.support.task_states import NOW, TASK_ID, pending_task

OPERATION_ID = UUID("01a20000-0000-7000-8000-0000000000ff")
IDS = [UUID(int=TASK_ID.int + number) for number in range(5)]


def begun(**fields: Any) -> BulkOperationState:
    """A new operation: unless the fields say otherwise, `IDS` are to be processed."""
    wanted = fields if "filter" in fields else {"ids": IDS, **fields}
    request = StartBulkOperation.model_validate({"id": OPERATION_ID, "action": "process", **wanted})
    return BulkBook(()).start(request, NOW)


def tasks_of(*ids: UUID, **fields: Any) -> dict[UUID, TaskState]:
    """Tasks that exist."""
    return {task_id: pending_task(**fields)._replace(id=task_id) for task_id in ids}


class Changes:
    """What is asked of tasks.

    Attributes:
        requests: What was asked, in order.
    """

    def __init__(self, refusals: dict[UUID, Exception] | None = None) -> None:
        self.requests: list[BulkRequest] = []
        self._refusals = refusals or {}

    def __call__(self, request: BulkRequest) -> None:
        """Note a request, or refuse it."""
        if request.id in self._refusals:
            raise self._refusals[request.id]
        self.requests.append(request)


def carry_out(
    operation: BulkOperationState, chunk: BulkChunk, tasks: dict[UUID, TaskState], changes: Changes
) -> BulkOperationState:
    """Carry out a chunk of an operation."""
    book = BulkBook([operation])
    after = book.carry_out(chunk, tasks, changes, NOW)
    assert after is not None
    assert list(book.changed.values()) == ([after] if after is not operation else [])
    return after


def test_named_tasks_come_in_chunks() -> None:
    """Each once, in the order of the request, and the last chunk says that it is."""
    operation, changes, chunks = begun(), Changes(), 0
    while operation.status is BulkStatus.RUNNING:
        operation = carry_out(operation, named_chunk(operation, 2), tasks_of(*IDS), changes)
        chunks += 1
    assert chunks == 3
    assert changes.requests == [ProcessTask(id=task_id) for task_id in IDS]
    assert (operation.matched, operation.done, operation.finished_at) == (5, 5, NOW)


def test_a_last_chunk_that_is_full_is_the_last() -> None:
    """No empty chunk follows it."""
    operation = begun()
    assert named_chunk(operation, 5).is_last
    assert not named_chunk(operation, 4).is_last


def test_refusals_are_counted_by_their_code() -> None:
    """The tasks behind are asked all the same."""
    operation = begun()
    changes = Changes({IDS[0]: RunActiveError(), IDS[2]: RunActiveError(), IDS[3]: TaskNotFoundError()})
    after = carry_out(operation, named_chunk(operation, 5), tasks_of(*IDS), changes)
    assert [request.id for request in changes.requests] == [IDS[1], IDS[4]]
    document = BulkOperation.model_validate_json(bulk_operation_document(after))
    assert document.refusals == {"run_active": 2, "task_not_found": 1}
    assert (document.counts.matched, document.counts.done, document.counts.refused) == (5, 2, 3)


def test_a_full_queue_ends_a_chunk() -> None:
    """What comes behind is not asked, and what came before is not asked again."""
    operation = begun()
    stuck = carry_out(
        operation, named_chunk(operation, 5), tasks_of(*IDS), Changes({IDS[2]: QueueFullError("default", 3)})
    )
    assert (stuck.status, stuck.waiting_for) == (BulkStatus.RUNNING, BulkWait.ROOM_IN_QUEUE)
    assert (stuck.matched, stuck.done, stuck.refusals) == (2, 2, "{}")
    changes = Changes()
    after = carry_out(stuck, named_chunk(stuck, 5), tasks_of(*IDS), changes)
    assert [request.id for request in changes.requests] == IDS[2:]
    assert (after.status, after.waiting_for, after.done) == (BulkStatus.COMPLETED, None, 5)


def test_a_chunk_counts_once() -> None:
    """Asked again it finds the operation behind it, also in the batch that carried it out."""
    operation, changes = begun(), Changes()
    chunk = named_chunk(operation, 2)
    book = BulkBook([operation])
    once = book.carry_out(chunk, tasks_of(*IDS), changes, NOW)
    assert book.carry_out(chunk, tasks_of(*IDS), changes, NOW) == once
    assert len(changes.requests) == 2


def test_a_chunk_of_an_unknown_operation_does_nothing() -> None:
    """It may have been completed and forgotten long ago."""
    changes = Changes()
    assert BulkBook(()).carry_out(named_chunk(begun(), 2), tasks_of(*IDS), changes, NOW) is None
    assert changes.requests == []


@pytest.mark.parametrize(
    ("fields", "request_"),
    [
        ({"action": "process"}, ProcessTask(id=IDS[0])),
        ({"action": "cancel"}, CancelTask(id=IDS[0])),
        ({"action": "delete"}, DeleteTask(id=IDS[0])),
        ({"action": "delete", "force": True}, DeleteTask(id=IDS[0], force=True)),
    ],
)
def test_each_action_is_an_ordinary_request(fields: dict[str, Any], request_: BulkRequest) -> None:
    """The same as its endpoint makes."""
    operation, changes = begun(**fields), Changes()
    carry_out(operation, named_chunk(operation, 1), tasks_of(*IDS), changes)
    assert changes.requests == [request_]


def test_a_dry_run_asks_nothing() -> None:
    """It counts, and finds out who is not there."""
    operation, changes = begun(dry_run=True), Changes()
    after = carry_out(operation, named_chunk(operation, 5), tasks_of(*IDS[1:]), changes)
    assert changes.requests == []
    assert (after.matched, after.done, orjson.loads(after.refusals)) == (5, 0, {"task_not_found": 1})


def test_what_no_longer_meets_the_filter_is_left_alone() -> None:
    """Unchanged, or changed and still meeting it: asked. Changed otherwise, or deleted: not even counted."""
    operation, changes = begun(filter={"kind": "sleep"}), Changes()
    candidates = [Candidate(task_id, 1, f"p{number}") for number, task_id in enumerate(IDS[:4])]
    tasks = {
        **tasks_of(IDS[0], kind="sleep"),
        IDS[1]: tasks_of(IDS[1], kind="sleep")[IDS[1]]._replace(revision=2),
        IDS[2]: tasks_of(IDS[2], kind="echo")[IDS[2]]._replace(revision=2),
    }
    after = carry_out(operation, BulkChunk(OPERATION_ID, None, tuple(candidates), is_last=False), tasks, changes)
    assert [request.id for request in changes.requests] == IDS[:2]
    assert (after.matched, after.done, after.position) == (2, 2, "p3")
