"""Lines that handlers write: each is told and kept once, and no more of a task than are kept."""

import orjson
import pytest

from taskmill.contracts.limits import MAX_LINES_IN_A_REPORT, MAX_TASK_LINES
from taskmill.contracts.reports import Logged, ReportBundle, RunReport
from taskmill.contracts.requests import DeleteTask
from taskmill.task_store.domain.batch import Batch
from taskmill.task_store.domain.bulk_operations import BulkBook
from taskmill.task_store.domain.decision import Decision
from taskmill.task_store.domain.idempotency import KeyBook
from taskmill.task_store.domain.kinds import KindBook
from taskmill.task_store.domain.queues import QueueBook
from taskmill.task_store.domain.reports import comes_early, decide_report
from taskmill.task_store.domain.state import TaskState
from tests.support.task_states import (
    FINISHED_AT,
    HEARING,
    NOW,
    RULES,
    STARTED_AT,
    TASK_ID,
    after,
    cancelled,
    completed,
    failed,
    given_back,
    given_up_executions,
    logged,
    no_jitter,
    queued_task,
    started,
    started_at,
)
from tests.unit.task_store.test_batch import overdue


def batch(state: TaskState) -> Batch:
    """A batch that has read a task."""
    return Batch(
        [state],
        (),
        queues=QueueBook({"default": 1}, 3, 10),
        kinds=KindBook({}),
        keys=KeyBook(()),
        bulk_operations=BulkBook(()),
        services=(),
        rules=RULES,
        now=NOW,
        random=no_jitter,
    )


def bundle(*reports: RunReport) -> ReportBundle:
    """What a processor says."""
    return ReportBundle(processor_id="processor-1", reports=list(reports))


def running() -> TaskState:
    """A task in progress."""
    return after(queued_task(), started())


def many_lines(count: int) -> list[Logged]:
    """Reports of so many lines, as a processor makes them."""
    numbers = range(1, count + 1, MAX_LINES_IN_A_REPORT)
    return [logged(first_number=first, lines=min(MAX_LINES_IN_A_REPORT, count + 1 - first)) for first in numbers]


def test_lines_are_kept_and_told() -> None:
    """They get the next positions, and are one event."""
    state, events, _, lines, _ = decide_report(running(), logged(lines=2), HEARING)
    assert [(line.position, line.attempt, line.text) for line in lines] == [(1, 1, "line 1"), (2, 1, "line 2")]
    assert (state.line_count, state.line_number, state.version) == (2, 2, running().version + 1)
    (event,) = events
    data = orjson.loads(event.document)["data"]
    assert data["dropped"] == 0
    assert data["lines"][0] == {
        "at": STARTED_AT.isoformat().replace("+00:00", "Z"),
        "level": "info",
        "text": "line 1",
        "position": 1,
        "attempt": 1,
    }


def test_lines_that_come_again_change_nothing() -> None:
    """Unlike progress: a repeated bundle adds no line, also when others came in between."""
    state = after(running(), logged(), logged(first_number=2))
    for report in (logged(), logged(first_number=2)):
        assert decide_report(state, report, HEARING) == Decision(state)


def test_what_the_processor_dropped_is_counted() -> None:
    """Its positions stay empty."""
    state, (event,), _, lines, _ = decide_report(after(running(), logged()), logged(first_number=9, dropped=7), HEARING)
    assert ([line.position for line in lines], state.line_count, state.line_number) == ([9], 9, 9)
    assert orjson.loads(event.document)["data"]["dropped"] == 7


@pytest.mark.parametrize("beside", [{"delivery": 2}, {"attempt": 2}, {"dispatch": 2}])
def test_lines_of_another_execution_are_refused(beside: dict[str, int]) -> None:
    """As its progress is."""
    assert decide_report(running(), logged(**beside), HEARING).lines == ()


def test_an_execution_that_takes_over_counts_anew() -> None:
    """Also a processor that has the same three numbers: its first line is not that of the other."""
    state = after(running(), logged(lines=5))
    again = after(state, started(2))
    decision = decide_report(again, logged(2), HEARING)
    assert [line.position for line in decision.lines] == [6]
    assert decide_report(decision.state, logged(first_number=6), HEARING).lines == ()
    other = HEARING._replace(processor_id="processor-2")
    elsewhere = decide_report(state, started_at(FINISHED_AT), other).state
    assert [line.position for line in decide_report(elsewhere, logged(), other).lines] == [6]


def test_lines_of_an_execution_with_the_same_numbers_are_told_once() -> None:
    """Its bundle comes again when another processor holds the attempt: it takes nothing back."""
    other = HEARING._replace(processor_id="processor-2")
    state = decide_report(after(running(), logged(lines=5)), started_at(FINISHED_AT), other).state
    assert after(state, started(), logged(lines=5)) is state


def test_lines_of_all_attempts_are_counted_together() -> None:
    """The next attempt writes behind the one before."""
    state = after(queued_task(max_attempts=2), started(), logged(), failed())
    assert (state.status, state.line_count) == ("scheduled", 1)


@pytest.mark.parametrize(
    "late",
    [
        completed(logged=3),
        failed(logged=3),
        cancelled(logged=3),
        given_back(logged=3),
        logged(first_number=4),
        logged(first_number=9, dropped=5),
    ],
    ids=lambda report: report.type,
)
def test_what_overtakes_lines_comes_again(late: RunReport) -> None:
    """An end, and later lines, change nothing before the lines are there; then they do not wait."""
    of = batch(after(running(), logged()))
    assert of.decide(bundle(late)).early == (late,)
    assert (of.tasks.changed, of.tasks.events) == ([], [])
    assert not of.decide(bundle(logged(first_number=2, lines=2), late)).early
    assert [event.type == "logged" for event in of.tasks.events][:2] == [True, isinstance(late, Logged)]


@pytest.mark.parametrize("early", [completed(logged=1), logged(), logged(first_number=3, dropped=2)])
def test_what_overtakes_the_start_comes_again(early: RunReport) -> None:
    """Also where an execution that fell silent holds the attempt: the start comes before all lines."""
    assert comes_early(queued_task(), early, "processor-1")
    assert comes_early(running(), early.model_copy(update={"delivery": 2}), "processor-1")


def test_lines_that_are_lost_hold_no_end_up_for_ever() -> None:
    """Lines are not worth another execution: at last the end is applied without them, and so are later lines."""
    of = batch(running())
    late: list[RunReport] = [logged(first_number=3), completed(logged=3)]
    assert of.decide(bundle(*late)).early == tuple(late)
    assert not of.decide(overdue(*late)).early
    assert [event.type for event in of.tasks.events] == ["logged", "completed"]
    quick = batch(queued_task())
    assert not quick.decide(overdue(completed(logged=2))).early
    assert [event.type for event in quick.tasks.events] == ["started", "completed"]


@pytest.mark.parametrize("state", given_up_executions().values(), ids=given_up_executions().keys())
def test_what_counts_no_more_is_not_waited_for(state: TaskState) -> None:
    """It would never be applied."""
    for report in (logged(first_number=3), completed(logged=1), failed(checkpointed=1)):
        assert not comes_early(state, report, "processor-1")


def test_an_execution_with_the_same_numbers_waits_for_no_line() -> None:
    """Where NATS forgot that it delivered, another processor holds the attempt; its lines are not those of this one."""
    for report in (logged(), logged(first_number=3), completed(logged=1)):
        assert not comes_early(running(), report, "processor-2")


def test_a_batch_writes_what_is_kept() -> None:
    """Of more lines than a task keeps only the newest are written, and the older ones are to be deleted."""
    of = batch(running())
    of.decide(bundle(*many_lines(MAX_TASK_LINES)))
    assert (len(of.tasks.lines), of.tasks.dropped_lines) == (MAX_TASK_LINES, [])
    of.decide(bundle(logged(first_number=MAX_TASK_LINES + 1, lines=3), completed()))
    assert [line.position for line in of.tasks.lines] == list(range(4, MAX_TASK_LINES + 4))
    assert of.tasks.dropped_lines == [(TASK_ID, 3)]
    assert [event.type for event in of.tasks.events] == ["logged"] * 11 + ["completed"]


def test_a_deleted_task_takes_its_lines_with_it() -> None:
    """Nothing is written of a task that is gone when the batch ends."""
    of = batch(running())
    of.decide(bundle(logged()))
    of.decide(DeleteTask(id=TASK_ID, force=True))
    assert (of.tasks.lines, of.tasks.dropped_lines, [task_id for _, task_id in of.tasks.deleted]) == ([], [], [TASK_ID])


def test_tasks_without_lines_have_none_to_write() -> None:
    """So that the statement that writes can do without that part."""
    of = batch(queued_task())
    of.decide(bundle(started(), completed()))
    assert (of.tasks.lines, of.tasks.dropped_lines) == ([], [])
