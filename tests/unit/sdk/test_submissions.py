"""What a handler submits: each task once for a run, under an id that every execution comes to."""

from datetime import UTC, datetime
from threading import Thread
from typing import Any
from uuid import UUID

import pytest

from taskmill.contracts.reports import HandlerReport, Submitted
from taskmill.contracts.requests import IdentifiedTask
from taskmill.contracts.status import Priority
from taskmill.contracts.tasks import DependencyFailure
from taskmill.contracts.unique import OnConflict, Uniqueness
from taskmill.contracts.work import WorkItem
from taskmill.sdk import Context, TooManySubmissionsError

TASK_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


def execution(*, run: int = 1, attempt: int = 1, checkpoint: Any = None) -> tuple[Context, list[IdentifiedTask]]:
    """A context of an execution, and the tasks that are told."""
    told: list[IdentifiedTask] = []

    def tell(report_type: type[HandlerReport], /, **content: Any) -> None:
        if report_type is Submitted:
            told.append(content["task"])

    item = WorkItem(
        task_id=TASK_ID,
        run=run,
        attempt=attempt,
        dispatch=1,
        title="A title",
        kind="k",
        queue="q",
        priority=Priority.LOW,
        checkpoint=checkpoint,
    )
    return Context(item, tell), told


def test_a_task_is_told_with_all_that_was_said() -> None:
    """What was not said is left to the store; the title is the kind."""
    context, told = execution()
    at = datetime(2030, 1, 1, tzinfo=UTC)
    first = context.submit("echo")
    second = context.submit(
        "thumbnail",
        {"at": at},
        title="Small",
        queue="media",
        priority=Priority.HIGH,
        labels={"a": "b"},
        run_at=at,
        process=False,
        after={first},
        on_dependency_failure=DependencyFailure.PROCESS,
    )
    assert told[0] == IdentifiedTask(id=first, title="echo", kind="echo", process=True)
    assert told[0].model_fields_set == {"id", "title", "kind", "payload", "process"}
    assert told[1] == IdentifiedTask(
        id=second,
        title="Small",
        kind="thumbnail",
        payload={"at": "2030-01-01T00:00:00Z"},
        queue="media",
        priority=Priority.HIGH,
        labels={"a": "b"},
        run_at=at,
        after=[first],
        on_dependency_failure=DependencyFailure.PROCESS,
    )


def test_every_execution_of_a_run_comes_to_the_same_ids() -> None:
    """By key or by the number of the call; another run submits other tasks."""

    def ids(**fields: Any) -> list[UUID]:
        context, _ = execution(**fields)
        return [context.submit("echo"), context.submit("echo", key="1"), context.submit("echo")]

    assert ids() == ids(attempt=2)
    assert len({*ids(), *ids(run=2)}) == 6


def test_ids_look_like_those_of_other_tasks() -> None:
    """UUIDs of version 7, of the time of the submitting task."""
    context, _ = execution()
    task_id = context.submit("echo")
    assert (task_id.version, task_id.int >> 80) == (7, TASK_ID.int >> 80)


def test_a_key_is_told_once() -> None:
    """The first call counts."""
    context, told = execution()
    assert context.submit("echo", 1, key="a") == context.submit("echo", 2, key="a")
    assert [task.payload for task in told] == [1]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"kind": "No kind"}, "kind: "),
        ({"payload": "x" * 262_144}, "the payload is larger than 262144 bytes"),
        ({"payload": "\x00"}, "the payload cannot be kept"),
        ({"title": ""}, "title: "),
        ({"title": "a\x00"}, "title: "),
        ({"labels": {"a": "\x00"}}, "labels/a: "),
        ({"run_at": datetime(2030, 1, 1)}, "run_at: "),  # noqa: DTZ001  (that is what is wrong with it)
        ({"after": [TASK_ID, TASK_ID]}, "after: "),
        ({"key": ""}, "the key"),
        ({"key": "k" * 201}, "the key"),
    ],
)
def test_what_can_be_no_task_is_refused(fields: dict[str, Any], reason: str) -> None:
    """In the handler, and nothing is told; the next call without a key has the same number."""
    context, told = execution()
    with pytest.raises(ValueError, match=reason):
        context.submit(**{"kind": "echo", **fields})
    assert told == []
    assert context.submit("echo") == execution()[0].submit("echo")


def test_an_execution_submits_so_many_tasks() -> None:
    """A thousand; those that it submitted before are still answered."""
    context, told = execution()
    ids = [context.submit("echo", key=str(number)) for number in range(1_000)]
    with pytest.raises(TooManySubmissionsError, match="at most 1000 tasks"):
        context.submit("echo")
    assert context.submit("echo", key="7") == ids[7]
    assert len(told) == 1_000


def test_an_execution_submits_so_much() -> None:
    """8 MiB, so that what waits while NATS is away is bounded."""
    context, told = execution()
    for _ in range(33):
        context.submit("echo", "x" * 250_000)
    with pytest.raises(TooManySubmissionsError, match="8388608 bytes"):
        context.submit("echo", "x" * 250_000)
    context.submit("echo", "x" * 100_000)
    assert len(told) == 34


def test_who_leaves_checkpoints_gives_keys() -> None:
    """An execution that goes on from one does not make all calls again: counting them would mix them up."""
    resumed, _ = execution(checkpoint={"page": 3})
    leaving, _ = execution()
    leaving.progress(0.1, checkpoint=1)
    for context in (resumed, leaving):
        with pytest.raises(ValueError, match="needs a key"):
            context.submit("echo")
        context.submit("echo", key="a")
        context.progress(0.2, checkpoint=2)
    counting, _ = execution()
    counting.submit("echo")
    with pytest.raises(ValueError, match="without a key"):
        counting.progress(0.1, checkpoint=1)


def test_threads_submit_side_by_side() -> None:
    """Each call has a number of its own."""
    context, told = execution()
    threads = [Thread(target=lambda: [context.submit("echo") for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({task.id for task in told}) == len(told) == 400


def test_a_task_is_submitted_under_a_unique_key() -> None:
    """What does not fit together is told at the call, where the handler can do something about it."""
    context, told = execution()
    context.submit("echo", unique={"key": "k", "on_conflict": "debounce", "debounce_seconds": 5})
    assert told[0].unique == Uniqueness(key="k", on_conflict=OnConflict.DEBOUNCE, debounce_seconds=5)
    with pytest.raises(ValueError, match="unique: `debounce` needs `debounce_seconds`"):
        context.submit("echo", unique={"key": "k", "on_conflict": "debounce"})
