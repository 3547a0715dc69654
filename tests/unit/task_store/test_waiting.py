from datetime import UTC, datetime

import pytest

from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import WaitingFor, WaitReason
from taskmill.task_store.domain.waiting import ServedWork, waiting_for
from tests.support.task_states import after, failed, given_back, pending_task, queued_task

DUE = datetime(2026, 11, 24, 12, tzinfo=UTC)
HERE = ServedWork(queues=frozenset({"default", "web"}), kinds=frozenset({"echo"}))
ELSEWHERE = ServedWork(queues=frozenset({"other"}), kinds=frozenset({"report"}))


@pytest.mark.parametrize(
    ("services", "queue", "kind", "reason"),
    [
        ([HERE, ELSEWHERE], "web", "echo", WaitReason.SLOT),
        ([HERE, ELSEWHERE], "web", "report", WaitReason.KIND),
        ([HERE, ELSEWHERE], "nobody-serves-it", "echo", WaitReason.PROCESSOR),
        ([], "default", "echo", WaitReason.PROCESSOR),
    ],
)
def test_a_queued_task_waits_for_whoever_could_do_it(
    services: list[ServedWork], queue: str, kind: str, reason: WaitReason
) -> None:
    """A slot where somebody can do it; else that there is somebody for the queue, and then for the kind."""
    state = pending_task()._replace(status=TaskStatus.QUEUED, is_run_active=True, queue=queue, kind=kind)
    assert waiting_for(state, services) == WaitingFor(reason=reason)


def test_a_task_of_a_paused_queue_waits_for_it_to_be_resumed() -> None:
    """Whoever could do it; but a task that is not due waits for its time first."""
    state = pending_task()._replace(status=TaskStatus.QUEUED, is_run_active=True)
    assert waiting_for(state, [HERE], {"default"}) == WaitingFor(reason=WaitReason.RESUME)
    assert waiting_for(state, [HERE], {"other"}) == WaitingFor(reason=WaitReason.SLOT)
    scheduled = state._replace(status=TaskStatus.SCHEDULED, run_at=DUE)
    assert waiting_for(scheduled, [HERE], {"default"}) == WaitingFor(reason=WaitReason.DUE_TIME, until=DUE)


def test_a_scheduled_task_waits_for_its_time() -> None:
    """Whoever could do it, nobody may before."""
    state = pending_task()._replace(status=TaskStatus.SCHEDULED, is_run_active=True, run_at=DUE)
    assert waiting_for(state, [HERE]) == WaitingFor(reason=WaitReason.DUE_TIME, until=DUE)


@pytest.mark.parametrize(
    ("services", "reason"),
    [
        ([HERE], WaitReason.KIND),
        ([], WaitReason.PROCESSOR),
        ([HERE._replace(kinds=frozenset({"report"}))], WaitReason.DUE_TIME),
    ],
)
def test_a_task_that_is_offered_again_waits_for_its_kind(services: list[ServedWork], reason: WaitReason) -> None:
    """Not for its time, unless a processor that knows its kind has come meanwhile."""
    offered_again = after(queued_task(kind="report"), given_back(reason="unknown_kind"))
    assert waiting_for(offered_again, services) == WaitingFor(reason=reason, until=offered_again.run_at)


def test_a_retry_waits_for_its_time() -> None:
    """Even when the processors that knew its kind have gone: it is not offered to any before."""
    retried = after(queued_task(kind="report", max_attempts=2), failed())
    assert waiting_for(retried, [HERE]) == WaitingFor(reason=WaitReason.DUE_TIME, until=retried.run_at)


@pytest.mark.parametrize("status", sorted(set(TaskStatus) - {TaskStatus.SCHEDULED, TaskStatus.QUEUED}))
def test_any_other_task_does_not_wait(status: TaskStatus) -> None:
    """What is done, or being done, waits for nothing."""
    assert waiting_for(pending_task()._replace(status=status), [HERE]) is None
