"""What is counted of batches, and in which trace tasks go on."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

import orjson
import pytest

from taskmill.contracts.reports import ReportBundle, RunReport
from taskmill.contracts.requests import IdempotencyKey, ProcessTask
from taskmill.contracts.schedules import CreateSchedule, RunSchedule, TaskTemplate
from taskmill.runtime.histogram import Histogram
from taskmill.runtime.metrics import Metrics
from taskmill.task_store import metrics as told
from taskmill.task_store.adapters.work_stream import _message
from taskmill.task_store.domain.batch import Batch
from taskmill.task_store.domain.bulk_operations import BulkBook
from taskmill.task_store.domain.idempotency import KeyBook
from taskmill.task_store.domain.kinds import KindBook
from taskmill.task_store.domain.operations import ExpireCancellations, MakeDue, Operation, Redispatch
from taskmill.task_store.domain.publication import unpublished_events
from taskmill.task_store.domain.queues import QueueBook
from taskmill.task_store.domain.schedules import FireSchedule, ScheduleBook, new_schedule
from taskmill.task_store.domain.state import TaskState
from taskmill.task_store.domain.waiting import ServedWork
from taskmill.task_store.metrics import MAX_LABELLED_KINDS, BatchCounts
from tests.support.task_states import (
    NOW,
    RULES,
    SUBMITTED_ID,
    TASK_ID,
    after,
    cancelling_task,
    completed,
    create_request,
    failed,
    heartbeat,
    no_jitter,
    pending_task,
    queued_task,
    started,
    submitted,
)

ECHO = ServedWork(frozenset({"default"}), frozenset({"echo"}))
LATER = NOW + timedelta(seconds=60)
REQUEST, REPORT = f"00-{'a' * 32}-{'b' * 16}-01", f"00-{'a' * 32}-{'c' * 16}-01"


def decided(
    *operations: Operation,
    states: Sequence[TaskState] = (),
    services: Sequence[ServedWork] = (ECHO,),
    now: datetime = NOW,
    schedules: ScheduleBook | None = None,
) -> Batch:
    """A batch of operations on these states."""
    batch = Batch(
        states,
        (),
        queues=QueueBook({"default": 0}, 64, 1_000),
        kinds=KindBook({}),
        keys=KeyBook(()),
        bulk_operations=BulkBook(()),
        schedules=schedules,
        services=services,
        rules=RULES,
        now=now,
        random=no_jitter,
    )
    for operation in operations:
        batch.decide(operation)
    return batch


def bundle(*reports: RunReport) -> ReportBundle:
    """What a processor says."""
    return ReportBundle(processor_id="processor-1", reports=list(reports))


def counted(*batches: Batch) -> dict[str, dict[tuple[str, ...], float | tuple[int, float]]]:
    """What is told after these batches, without what is 0: of a histogram how many there were, and their sum."""
    counts, metrics = BatchCounts(), Metrics()
    counts.add_to(metrics)
    for batch in batches:
        counts.note(batch)
    return {
        metric.name: {
            labels: (sum(value.counts), value.sum) if isinstance(value, Histogram) else value
            for labels, value in values.items()
            if value
        }
        for metric, values in metrics.read()
    }


def test_a_task_is_counted_from_its_creation_to_its_end() -> None:
    """Its times are those between the instants that the task itself tells."""
    running = after(queued_task(kind="echo"), started())
    found = counted(
        decided(create_request(kind="echo", process=True)),
        decided(bundle(started()), states=[queued_task(kind="echo")]),
        decided(bundle(completed()), states=[running]),
    )
    assert found["taskmill_tasks_created_total"] == {("echo",): 1}
    assert found["taskmill_tasks_finished_total"] == {("echo", "completed"): 1}
    assert found["taskmill_task_queue_wait_seconds"] == {("default",): (1, 1.0)}
    assert found["taskmill_task_run_seconds"] == {("echo", "completed"): (1, 1.0)}
    assert found["taskmill_task_end_to_end_seconds"] == {("echo",): (1, 2.0)}


def test_a_quick_task_has_the_same_times() -> None:
    """Start and end come in one report."""
    found = counted(decided(bundle(completed()), states=[queued_task(kind="echo")]))
    assert found["taskmill_task_queue_wait_seconds"] == {("default",): (1, 1.0)}
    assert found["taskmill_task_run_seconds"] == {("echo", "completed"): (1, 1.0)}


def test_an_attempt_that_is_retried_is_no_run_that_ended() -> None:
    """It has a time all the same."""
    found = counted(decided(bundle(failed()), states=[queued_task(kind="echo", max_attempts=2)]))
    assert found["taskmill_tasks_finished_total"] == {}
    assert found["taskmill_task_run_seconds"] == {("echo", "failed"): (1, 1.0)}
    assert found["taskmill_task_end_to_end_seconds"] == {}


def test_reports_that_change_nothing_are_counted_by_their_type() -> None:
    """Of an execution that was given up, of a task that is gone, and told a second time."""
    running = after(queued_task(), started(2))
    stale = decided(bundle(heartbeat(1), completed(1), started(2)), states=[running])
    gone = decided(bundle(completed()))
    found = counted(stale, gone, decided(bundle(heartbeat(2)), states=[running]))
    assert found["taskmill_stale_reports_rejected_total"] == {("heartbeat",): 1, ("completed",): 2, ("started",): 1}


@pytest.mark.parametrize(
    ("then", "batch"),
    [
        ("taken_over", decided(bundle(started(2)), states=[after(queued_task(), started(1))])),
        ("dispatched", decided(Redispatch({TASK_ID: 1}), states=[after(queued_task(), started())], now=LATER)),
        ("cancelled", decided(ExpireCancellations((TASK_ID,)), states=[cancelling_task()], now=LATER)),
    ],
)
def test_executions_that_fell_silent_are_counted_by_what_became_of_them(then: str, batch: Batch) -> None:
    """A message that was lost before anybody began is none."""
    assert counted(batch)["taskmill_lease_expiries_total"] == {(then,): 1}
    lost = decided(Redispatch({TASK_ID: 1}), states=[queued_task()], now=LATER)
    assert lost.tasks.events
    assert counted(lost)["taskmill_lease_expiries_total"] == {}


def test_answers_under_a_key_that_are_given_again_are_counted() -> None:
    """The first one is not."""
    request = ProcessTask(id=TASK_ID, idempotency=IdempotencyKey(key="k", fingerprint="a" * 64))
    found = counted(decided(request, request, states=[pending_task()]))
    assert found["taskmill_idempotent_replays_total"] == {(): 1}


def test_kinds_that_clients_make_up_share_a_label_and_those_that_have_one_are_bounded() -> None:
    """However many there are, Prometheus is not flooded."""
    kinds = [f"kind-{number}" for number in range(MAX_LABELLED_KINDS + 10)]
    served = ServedWork(frozenset({"default"}), frozenset(kinds))
    batches = [decided(create_request(kind=kind), services=[served]) for kind in kinds]
    created = counted(*batches, decided(create_request(kind="made-up")))["taskmill_tasks_created_total"]
    assert len(created) == MAX_LABELLED_KINDS + 1
    assert created[told.OTHER_KINDS,] == 11


def test_a_task_goes_on_in_the_trace_of_what_moved_it_last() -> None:
    """Its events and its next dispatch belong to the request, then to the report of the attempt before."""
    created = decided(create_request(process=True, max_attempts=2, traceparent=REQUEST))
    [state] = created.tasks.created
    retried = decided(bundle(failed().model_copy(update={"traceparent": REPORT})), states=[state])
    [(_, waiting)] = retried.tasks.changed
    due = decided(MakeDue((TASK_ID,)), states=[waiting], now=LATER)
    told_by = [
        orjson.loads(event.document)["traceparent"] for batch in (created, retried, due) for event in batch.tasks.events
    ]
    assert told_by == [REQUEST] * 2 + [REPORT] * (len(told_by) - 2)
    for batch, traceparent in ((created, REQUEST), (due, REPORT)):
        *_, queued = unpublished_events(batch.tasks.events, batch.tasks.states, batch.kinds, 1)
        assert queued.work is not None
        assert _message(queued, queued.work).headers["traceparent"] == traceparent


def test_a_task_that_is_not_traced_tells_no_trace() -> None:
    """Neither do its messages."""
    created = decided(create_request(process=True))
    *_, queued = unpublished_events(created.tasks.events, created.tasks.states, created.kinds, 1)
    assert queued.work is not None
    assert "traceparent" not in queued.document
    assert "traceparent" not in _message(queued, queued.work).headers


def test_who_asks_for_another_run_has_it_in_his_trace_and_what_is_submitted_follows_its_task() -> None:
    """A request that is not traced leaves the task where it is."""
    ended = after(pending_task(traceparent=REQUEST))
    [(_, moved)] = decided(ProcessTask(id=TASK_ID, traceparent=REPORT), states=[ended]).tasks.changed
    [(_, left)] = decided(ProcessTask(id=TASK_ID), states=[ended]).tasks.changed
    assert (moved.traceparent, left.traceparent) == (REPORT, REQUEST)
    batch = decided(bundle(submitted()), states=[after(moved, started())])
    assert batch.tasks.states[SUBMITTED_ID].traceparent == REPORT


def test_times_of_schedules_are_counted() -> None:
    """By what became of them; how late one is, is that of its own time only."""
    request = CreateSchedule(id=uuid4(), name="S", template=TaskTemplate(title="T"), interval_seconds=60)
    schedule = new_schedule(request, NOW)
    fire_at = schedule.next_fire_at
    assert fire_at is not None
    later = fire_at + timedelta(seconds=2)

    def batch(*operations: Operation) -> Batch:
        return decided(*operations, now=later, schedules=ScheduleBook([schedule]))

    fired = counted(
        batch(FireSchedule(schedule.id, 1, fire_at, fire_at + timedelta(seconds=60))),
        batch(RunSchedule(id=schedule.id, task_id=uuid4())),
        batch(FireSchedule(schedule.id, 1, fire_at, fire_at + timedelta(seconds=180), 3, fire_at)),
        # It is planned a second time, or was changed meanwhile.
        batch(FireSchedule(schedule.id, 2, fire_at, None)),
    )
    assert fired["taskmill_schedule_fires_total"] == {("created",): 2, ("missed",): 3}
    assert fired["taskmill_schedule_fire_lag_seconds"] == {(): (1, 2.0)}
