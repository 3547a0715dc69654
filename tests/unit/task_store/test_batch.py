import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from uuid import UUID

import pytest

from taskmill.contracts.errors import (
    IdempotencyKeyReusedError,
    QueueFullError,
    RevisionMismatchError,
    RunActiveError,
    TaskExistsError,
    TaskNotFoundError,
    TooManyQueuesError,
)
from taskmill.contracts.reports import Hello, ReportBundle, RunReport
from taskmill.contracts.requests import (
    CancelTask,
    CreateTask,
    CreateTasks,
    DeleteTask,
    IdempotencyKey,
    ProcessTask,
    UpdateTask,
)
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import KindDefaults, WaitingFor, WaitReason
from taskmill.task_store.domain.batch import Batch
from taskmill.task_store.domain.bulk_operations import BulkBook
from taskmill.task_store.domain.idempotency import KeyBook, KeyedAnswer
from taskmill.task_store.domain.kinds import KindBook
from taskmill.task_store.domain.operations import (
    Answer,
    ExpireCancellations,
    KeyedReply,
    MakeDue,
    OverdueBundle,
    Redispatch,
    named_queues,
)
from taskmill.task_store.domain.queues import QueueBook, QueueChange
from taskmill.task_store.domain.state import TaskState
from taskmill.task_store.domain.waiting import ServedWork
from tests.support.task_states import (
    NOW,
    RULES,
    TASK_ID,
    after,
    cancelling_task,
    completed,
    create_request,
    failed,
    no_jitter,
    pending_task,
    queued_task,
    started,
)

OTHER_ID = UUID("01a20000-0000-7000-8000-000000000002")
THIRD_ID = UUID("01a20000-0000-7000-8000-000000000003")


def batch(
    *states: TaskState,
    used_ids: Iterable[UUID] = (),
    queues: Mapping[str, int] | Iterable[str] = ("default",),
    limit: int = 3,
    max_waiting: int = 10,
    kinds: Mapping[str, KindDefaults] = MappingProxyType({}),
    keys: Iterable[KeyedAnswer] = (),
    services: Sequence[ServedWork] = (),
    now: datetime = NOW,
) -> Batch:
    """A batch that has read these states."""
    waiting = queues if isinstance(queues, Mapping) else dict.fromkeys(queues, 0)
    return Batch(
        states,
        used_ids,
        queues=QueueBook(waiting, limit, max_waiting),
        kinds=KindBook(kinds),
        keys=KeyBook(keys),
        bulk_operations=BulkBook(()),
        services=services,
        rules=RULES,
        now=now,
        random=no_jitter,
    )


def bundle(*reports: RunReport | Hello) -> ReportBundle:
    """What a processor says."""
    return ReportBundle(processor_id="processor-1", reports=list(reports))


def overdue(*reports: RunReport) -> OverdueBundle:
    """What it says, when what should have come before is lost."""
    return OverdueBundle(processor_id="processor-1", reports=list(reports))


def other_task(**fields: object) -> CreateTask:
    """A request for another task."""
    return CreateTask.model_validate({"id": OTHER_ID, "title": "Other", **fields})


def versions(of: Batch) -> list[tuple[UUID, int]]:
    """The events of a batch in the order of the log."""
    return [(event.task_id, event.version) for event in of.tasks.events]


def test_operations_see_those_before_them() -> None:
    """Several operations on one task in a batch act one after another, and are written as one change."""
    of = batch(pending_task())
    of.decide(UpdateTask(id=TASK_ID, changes={"title": "new"}))
    of.decide(ProcessTask(id=TASK_ID, expected_revision=2))
    of.decide(bundle(started(), completed(result=1)))
    of.decide(ProcessTask(id=TASK_ID))
    assert versions(of) == [(TASK_ID, version) for version in (2, 3, 4, 5, 6)]
    ((before, state),) = of.tasks.changed
    assert (before.version, state.version, state.title, state.attempt) == (1, 6, "new", 2)
    assert [(attempt.attempt, attempt.outcome) for attempt in of.tasks.attempts] == [(1, "completed")]


def test_a_refused_operation_leaves_everything_as_it_was() -> None:
    """Its neighbours are decided as if it had not been there."""
    of = batch(queued_task())
    with pytest.raises(RunActiveError):
        of.decide(ProcessTask(id=TASK_ID))
    with pytest.raises(RevisionMismatchError):
        of.decide(DeleteTask(id=TASK_ID, expected_revision=9))
    with pytest.raises(TaskNotFoundError):
        of.decide(UpdateTask(id=OTHER_ID, changes={}))
    assert (of.tasks.created, of.tasks.changed, of.tasks.deleted, of.tasks.events, of.tasks.attempts) == (
        [],
        [],
        [],
        [],
        [],
    )


def test_a_task_may_be_created_and_processed_in_one_batch() -> None:
    """What is created in a batch is inserted as it stands at the end of it."""
    of = batch()
    of.decide(create_request())
    of.decide(ProcessTask(id=TASK_ID))
    (state,) = of.tasks.created
    assert (state.status, state.version, of.tasks.changed) == (TaskStatus.QUEUED, 2, [])


@pytest.mark.parametrize("second", [create_request(), CreateTasks(tasks=[other_task(), create_request()])])
def test_an_id_is_used_once(second: CreateTask | CreateTasks) -> None:
    """A second task with an id is refused, alone or among others, in the same batch or after."""
    of = batch()
    of.decide(create_request())
    with pytest.raises(TaskExistsError):
        of.decide(second)
    assert [state.id for state in of.tasks.created] == [TASK_ID]
    with pytest.raises(TaskExistsError):
        batch(used_ids=[TASK_ID]).decide(second)


def test_many_are_created_all_or_none() -> None:
    """One id twice, or one queue too many, and none of the tasks exists."""
    of = batch(limit=1)
    with pytest.raises(TaskExistsError):
        of.decide(CreateTasks(tasks=[create_request(), other_task(), create_request()]))
    with pytest.raises(TooManyQueuesError):
        of.decide(CreateTasks(tasks=[create_request(), other_task(queue="web")]))
    assert (of.tasks.created, of.tasks.events, of.queues.added) == ([], [], [])
    of.decide(CreateTasks(tasks=[create_request(), other_task()]))
    assert len(of.tasks.created) == 2


def test_a_deleted_task_is_gone_for_the_rest_of_the_batch() -> None:
    """Later operations do not find it, its attempts are not written, its events are."""
    of = batch(after(queued_task(), completed()))
    of.decide(ProcessTask(id=TASK_ID))
    of.decide(bundle(completed(attempt=2, dispatch=2)))
    of.decide(DeleteTask(id=TASK_ID))
    with pytest.raises(TaskNotFoundError):
        of.decide(ProcessTask(id=TASK_ID))
    of.decide(bundle(started(9)))
    assert of.tasks.deleted == [(4, TASK_ID)]
    assert (of.tasks.changed, of.tasks.created, of.tasks.attempts) == ([], [], [])
    assert [event.type.value for event in of.tasks.events] == ["queued", "started", "completed", "deleted"]


def test_created_and_deleted_in_one_batch_leaves_only_history() -> None:
    """Nothing is inserted, and both events are told."""
    of = batch()
    of.decide(create_request())
    of.decide(DeleteTask(id=TASK_ID))
    assert (of.tasks.created, of.tasks.deleted) == ([], [])
    assert versions(of) == [(TASK_ID, 1), (TASK_ID, 2)]


def test_reports_of_unknown_tasks_are_ignored() -> None:
    """A report of a task that was deleted changes nothing, and its bundle is done."""
    of = batch()
    assert of.decide(bundle(completed(), started())) == Answer()
    assert of.tasks.events == []


def test_queues_are_limited() -> None:
    """A new queue is admitted while there is room, at creation as at an update."""
    of = batch(pending_task(), queues=["default", "a"], limit=3)
    of.decide(other_task(queue="b"))
    with pytest.raises(TooManyQueuesError):
        of.decide(UpdateTask(id=TASK_ID, changes={"queue": "c"}))
    of.decide(UpdateTask(id=TASK_ID, changes={"queue": "b"}))
    assert of.queues.added == ["b"]


def test_a_hello_brings_its_queues_as_far_as_there_is_room() -> None:
    """A processor's queues exist from its hello on; beyond the limit they do not, and nothing fails."""
    of = batch(queues=["default"], limit=2)
    hello = Hello(queues=["default", "a", "b"], kinds=[], slots=1, software_version="1")
    assert of.decide(bundle(hello)) == Answer()
    assert of.queues.added == ["a"]


def test_due_tasks_are_looked_at_again() -> None:
    """Of the tasks that were found due, those that no longer wait are left alone."""
    of = batch(queued_task())
    assert of.decide(MakeDue((TASK_ID, OTHER_ID))) == Answer()
    assert of.tasks.events == []


def test_a_task_waits_in_the_queue_of_its_kind() -> None:
    """Unless it says in which; a kind that declares none has the default one."""
    of = batch(kinds={"media": KindDefaults(queue="slow")}, queues=["default", "slow"])
    hello = Hello(
        queues=["default"],
        kinds=["echo"],
        kind_defaults={"echo": KindDefaults(queue="fast")},
        slots=1,
        software_version="1",
    )
    of.decide(create_request(kind="media"))
    of.decide(other_task(kind="sleep", queue=None))
    of.decide(bundle(hello))
    of.decide(other_task(kind="echo", id=THIRD_ID))
    assert [state.queue for state in of.tasks.created] == ["slow", "default", "fast"]
    # The kind's queue is there with the first task that waits in it.
    assert of.queues.added == ["fast"]
    said = batch(kinds={"media": KindDefaults(queue="slow")}, queues=["default"])
    said.decide(create_request(kind="media", queue="default"))
    assert [state.queue for state in said.tasks.created] == ["default"]


def test_a_queue_of_a_kind_counts_against_the_limit() -> None:
    """Whoever it comes from, a queue too many is refused."""
    of = batch(kinds={"media": KindDefaults(queue="slow")}, queues=["default"], limit=1)
    with pytest.raises(TooManyQueuesError):
        of.decide(create_request(kind="media"))
    assert of.tasks.created == []


def test_every_queue_that_may_come_into_being_is_named() -> None:
    """Whatever leads to a queue is known before the states are read: a cleared queue is the default one."""
    hello = Hello(queues=["a", "b"], kinds=[], slots=1, software_version="1")
    assert named_queues(bundle(started(), hello)) == ["a", "b"]
    assert named_queues(UpdateTask(id=TASK_ID, changes={"queue": None}, is_merge_patch=True)) == ["default"]
    assert named_queues(UpdateTask(id=TASK_ID, changes={"queue": 5})) == []
    assert named_queues(UpdateTask(id=TASK_ID, changes={"title": "x"})) == []
    assert named_queues(CreateTasks(tasks=[create_request(queue="c"), other_task()])) == ["c", "default"]


def key(fingerprint: str = "a" * 64) -> IdempotencyKey:
    """A client's key."""
    return IdempotencyKey(key="order-7", fingerprint=fingerprint)


def test_a_request_under_a_key_is_done_once() -> None:
    """In the same batch or in a later one, the second is answered as the first was, and does nothing."""
    of = batch(pending_task())
    request = ProcessTask(id=TASK_ID, expected_revision=1, idempotency=key())
    first, second = of.decide(request).keyed, of.decide(request).keyed
    assert first is not None
    assert second == KeyedReply(first.document, is_replayed=True)
    assert (len(of.tasks.events), len(of.keys.added)) == (1, 1)
    later = batch(queued_task(), keys=of.keys.added)
    assert later.decide(request).keyed == second
    assert (later.tasks.events, later.keys.added) == ([], [])


@pytest.mark.parametrize(
    ("services", "reason"), [([], "processor"), ([ServedWork(frozenset(["default"]), frozenset(["echo"]))], "slot")]
)
def test_an_answer_says_what_the_task_waits_for(services: list[ServedWork], reason: str) -> None:
    """Of what was known of the processors; also the answer that is kept under a key."""
    of = batch(services=services)
    assert of.decide(other_task(kind="echo", process=True)).waiting == WaitingFor(reason=WaitReason(reason))
    keyed = of.decide(other_task(id=THIRD_ID, kind="echo", process=True, idempotency=key())).keyed
    assert keyed is not None
    assert json.loads(keyed.document)["waiting_for"]["reason"] == reason
    assert of.decide(other_task(id=TASK_ID)).waiting is None


def test_a_key_belongs_to_a_command_and_a_task() -> None:
    """The same key under another command, or for another task, is another key."""
    of = batch(pending_task())
    for request in (
        other_task(idempotency=key()),
        ProcessTask(id=TASK_ID, idempotency=key()),
        ProcessTask(id=OTHER_ID, idempotency=key()),
        CancelTask(id=TASK_ID, idempotency=key()),
        CreateTasks(tasks=[other_task(id=THIRD_ID)], idempotency=key()),
    ):
        keyed = of.decide(request).keyed
        assert keyed is not None
        assert not keyed.is_replayed
    assert len({answer.scope for answer in of.keys.added}) == 5


def test_another_request_under_a_key_is_refused() -> None:
    """A key that was used for something else does not hide a mistake."""
    of = batch()
    of.decide(create_request(idempotency=key()))
    with pytest.raises(IdempotencyKeyReusedError):
        of.decide(other_task(idempotency=key("b" * 64)))
    assert len(of.tasks.created) == 1


def test_a_refusal_is_not_kept() -> None:
    """A refused request stores nothing: it may succeed when it is made again."""
    of = batch(queued_task())
    request = ProcessTask(id=TASK_ID, idempotency=key())
    with pytest.raises(RunActiveError):
        of.decide(request)
    of.decide(bundle(completed()))
    keyed = of.decide(request).keyed
    assert keyed is not None
    assert not keyed.is_replayed


def test_a_queue_takes_as_many_as_may_wait() -> None:
    """Beyond the limit creations and runs are refused as a whole; room is made as tasks leave the queue."""
    of = batch(queued_task(), queues={"default": 9}, max_waiting=10)
    with pytest.raises(QueueFullError):
        of.decide(CreateTasks(tasks=[other_task(process=True), other_task(id=THIRD_ID, process=True)]))
    of.decide(other_task())
    of.decide(ProcessTask(id=OTHER_ID))
    third = other_task(id=THIRD_ID, run_at=NOW + timedelta(hours=1))
    with pytest.raises(QueueFullError):
        of.decide(third)
    of.decide(bundle(started()))
    of.decide(third)
    (change,) = of.queues.changes
    assert change == QueueChange("default", delta=1, most_waiting=9, in_progress=1)


def test_what_the_store_does_itself_always_has_room() -> None:
    """A retry comes back to a queue that is full; it is counted, and asks for nothing."""
    running = after(queued_task(max_attempts=2), started())
    of = batch(running, queues={"default": 10}, max_waiting=10)
    of.decide(bundle(failed()))
    assert of.queues.changes == [QueueChange("default", delta=1, most_waiting=None, in_progress=-1)]


def test_a_task_that_waits_and_goes_in_one_batch_needs_room_meanwhile() -> None:
    """The limit holds at every moment of the batch, so the queue is looked at though its number stays."""
    of = batch(pending_task())
    of.decide(ProcessTask(id=TASK_ID))
    of.decide(CancelTask(id=TASK_ID))
    assert of.queues.changes == [QueueChange("default", delta=0, most_waiting=9, finished=1)]


def test_a_new_queue_is_added_with_what_waits_in_it() -> None:
    """Once it exists, its number is written like that of any other."""
    of = batch()
    of.decide(other_task(queue="web", process=True))
    assert (of.queues.added, of.queues.changes) == (
        ["web"],
        [QueueChange("web", delta=1, most_waiting=9, queued_medium=1)],
    )


def test_what_stands_where_is_counted() -> None:
    """Queued tasks by priority, those that are executed, and runs that have ended; not what is kept by hand."""
    of = batch(queued_task())
    of.decide(bundle(started()))
    [change] = of.queues.changes
    assert (change.queued_medium, change.in_progress, change.finished) == (-1, 1, 0)
    of.decide(bundle(completed()))
    [change] = of.queues.changes
    assert (change.queued_medium, change.in_progress, change.finished) == (-1, 0, 1)
    by_hand = batch(pending_task()._replace(status=TaskStatus.IN_PROGRESS))
    by_hand.decide(ProcessTask(id=TASK_ID))
    [change] = by_hand.queues.changes
    assert (change.queued_medium, change.in_progress) == (1, 0)


def test_a_hello_declares_what_holds_for_its_kinds() -> None:
    """From then on, in the same batch already; what is the same as before is not written."""
    declared = {"echo": KindDefaults(max_attempts=4)}
    hello = Hello(queues=["default"], kinds=["echo", "sum"], kind_defaults=declared, slots=1, software_version="1")
    of = batch()
    of.decide(bundle(hello))
    of.decide(create_request(process=True))
    assert of.tasks.created[0].attempt_limit == 4
    assert of.kinds.changed == declared
    again = batch(kinds=declared)
    again.decide(bundle(hello))
    assert again.kinds.changed == {}
    again.decide(bundle(hello.model_copy(update={"kind_defaults": {}})))
    assert again.kinds.changed == {"echo": KindDefaults()}


def test_the_store_carries_on_what_is_lost_or_expired() -> None:
    """Each task is decided on as it stands; those that are gone are passed over."""
    of = batch(queued_task())
    assert of.decide(Redispatch({TASK_ID: 1, OTHER_ID: 1})) == Answer()
    assert of.decide(Redispatch({TASK_ID: 1})) == Answer()
    assert [state.dispatch for _, state in of.tasks.changed] == [2]
    of = batch(cancelling_task(), now=NOW + RULES.lease)
    of.decide(ExpireCancellations((TASK_ID, OTHER_ID)))
    assert [state.status for _, state in of.tasks.changed] == [TaskStatus.CANCELLED]


def test_a_batch_knows_what_is_due_first() -> None:
    """Whoever queues what is due is told when to look."""
    of = batch()
    assert of.tasks.next_run_at is None
    of.decide(create_request(run_at=NOW + timedelta(seconds=9)))
    of.decide(other_task(run_at=NOW + timedelta(seconds=3)))
    assert of.tasks.next_run_at == NOW + timedelta(seconds=3)


def test_deleting_by_force_cancels_first() -> None:
    """Both are told; without force an active run forbids it."""
    of = batch(after(queued_task(), started()))
    with pytest.raises(RunActiveError):
        of.decide(DeleteTask(id=TASK_ID))
    of.decide(DeleteTask(id=TASK_ID, force=True))
    assert [event.type.value for event in of.tasks.events] == ["cancelled", "deleted"]
    assert of.tasks.deleted == [(3, TASK_ID)]
