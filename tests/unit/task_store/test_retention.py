from collections.abc import Mapping
from datetime import timedelta

import orjson
import pytest
from pydantic import ValidationError

from taskmill.contracts.requests import UpdateTask
from taskmill.contracts.status import ENDED, TaskStatus
from taskmill.task_store.domain.batch import Batch
from taskmill.task_store.domain.bulk_operations import BulkBook
from taskmill.task_store.domain.editing import decide_change
from taskmill.task_store.domain.endings import decide_cancel
from taskmill.task_store.domain.idempotency import KeyBook
from taskmill.task_store.domain.kinds import KindBook
from taskmill.task_store.domain.operations import RemoveExpired
from taskmill.task_store.domain.queues import QueueBook
from taskmill.task_store.domain.retention import has_expired
from taskmill.task_store.domain.state import TaskState
from taskmill.task_store.settings import TaskStoreSettings
from tests.support.task_states import (
    FINISHED_AT,
    NOW,
    RULES,
    TASK_ID,
    after,
    completed,
    failed,
    no_jitter,
    pending_task,
    queued_task,
    started,
)

DAY = timedelta(days=1)
A_DAY_EACH = dict.fromkeys(ENDED, DAY)
TASKS: Mapping[TaskStatus, TaskState] = {
    TaskStatus.COMPLETED: after(queued_task(), started(), completed(result=1)),
    TaskStatus.FAILED: after(queued_task(), started(), failed()),
    TaskStatus.CANCELLED: decide_cancel(pending_task(), FINISHED_AT).state,
}


@pytest.mark.parametrize("status", ENDED)
def test_a_task_expires_when_it_was_kept_for_so_long_after_its_end(status: TaskStatus) -> None:
    """Not a moment before, and not by the time of another status."""
    state = TASKS[status]
    assert state.status is status
    assert state.finished_at == FINISHED_AT
    assert has_expired(state, A_DAY_EACH, FINISHED_AT + DAY)
    assert not has_expired(state, A_DAY_EACH, FINISHED_AT + DAY - timedelta(microseconds=1))
    others = {other: DAY for other in ENDED if other is not status}
    assert not has_expired(state, others, FINISHED_AT + 1000 * DAY)


@pytest.mark.parametrize(
    "state", [pending_task(), queued_task(), after(queued_task(), started())], ids=["pending", "queued", "in progress"]
)
def test_a_task_that_has_not_ended_never_expires(state: TaskState) -> None:
    """Whatever is set."""
    assert not has_expired(state, dict.fromkeys(TaskStatus, DAY), NOW + 1000 * DAY)


def test_what_a_client_completed_expires_after_its_last_change() -> None:
    """Such a task was in no run, and has no end of its own."""
    state = decide_change(pending_task(), UpdateTask(id=TASK_ID, changes={"status": "completed"}), NOW + DAY).state
    assert state.finished_at is None
    assert not has_expired(state, A_DAY_EACH, NOW + DAY)
    assert has_expired(state, A_DAY_EACH, NOW + 2 * DAY)


def test_what_ended_before_it_was_created_expires_after_its_creation() -> None:
    """The clock of a processor may be slow."""
    state = TASKS[TaskStatus.COMPLETED]._replace(finished_at=NOW - 10 * DAY)
    assert not has_expired(state, A_DAY_EACH, NOW)
    assert has_expired(state, A_DAY_EACH, NOW + DAY)


def removal(state: TaskState) -> Batch:
    """What comes of the removal of a task that was found to be expired, as it is two days later."""
    batch = Batch(
        [state],
        (),
        queues=QueueBook({"default": 0}, 1, 10),
        kinds=KindBook({}),
        keys=KeyBook(()),
        bulk_operations=BulkBook(()),
        services=(),
        rules=RULES,
        now=FINISHED_AT + 2 * DAY,
        random=no_jitter,
    )
    batch.decide(RemoveExpired((TASK_ID,), A_DAY_EACH))
    return batch


def test_a_removal_is_told_with_its_reason() -> None:
    """Removed and told in the same transaction, as when a client deletes a task."""
    state = TASKS[TaskStatus.FAILED]
    batch = removal(state)
    assert batch.tasks.deleted == [(state.version, TASK_ID)]
    (event,) = batch.tasks.events
    document = orjson.loads(event.document)
    assert (document["type"], document["sequence"]) == ("taskmill.task.deleted.v1", state.version + 1)
    assert document["data"]["reason"] == "retention"


def test_a_task_that_was_begun_again_stays() -> None:
    """Whether it has expired is decided on the task as it is now, not as it was found."""
    batch = removal(queued_task())
    assert (batch.tasks.deleted, batch.tasks.events) == ([], [])


def test_events_are_kept_for_as_long_as_their_stream_keeps_them() -> None:
    """Otherwise a stream that was lost could not be filled again; the refusal names both variables."""
    with pytest.raises(ValidationError, match=r"RETENTION_EVENTS_SECONDS.*EVENTS_MAX_AGE_SECONDS"):
        TaskStoreSettings(retention_events_seconds=3 * 86_400)
    settings = TaskStoreSettings(retention_events_seconds=3 * 86_400, events_max_age_seconds=2 * 86_400)
    assert settings.retention_events_seconds == 3 * 86_400
