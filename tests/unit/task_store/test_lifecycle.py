from typing import get_args

import pytest

from taskmill.contracts.reports import AttemptReport, HandlerReport, RunReport
from taskmill.contracts.status import TaskStatus
from taskmill.task_store.domain.lifecycle import TRANSITIONS, Cause, Transition, transition
from tests.support.lifecycle_page import documented_rows


def as_row(way: Transition) -> list[str]:
    """A transition as the page writes it."""
    return [
        ", ".join(way.sources),
        "yes" if way.in_run else "no",
        way.by.value,
        way.fence.value if way.fence else "",
        ", ".join(way.targets),
    ]


def test_the_page_shows_the_table() -> None:
    """docs/task-lifecycle.md has the transitions of the code, row by row."""
    assert documented_rows() == [as_row(way) for way in TRANSITIONS]


def test_no_two_rows_answer_the_same_question() -> None:
    """From one status, one cause opens one way."""
    questions = [(source, way.in_run, way.by) for way in TRANSITIONS for source in way.sources]
    assert len(questions) == len(set(questions))


def test_every_cause_and_status_is_in_the_table() -> None:
    """Nothing is named that nobody can reach."""
    assert {way.by for way in TRANSITIONS} == set(Cause)
    assert {target for way in TRANSITIONS for target in way.targets} == set(TaskStatus)


@pytest.mark.parametrize("status", [TaskStatus.QUEUED, TaskStatus.SCHEDULED, TaskStatus.IN_PROGRESS])
def test_a_run_admits_no_other(status: TaskStatus) -> None:
    """Neither process nor a change of status is possible while a run is active."""
    assert transition(status, is_run_active=True, by=Cause.PROCESS) is None
    assert transition(status, is_run_active=True, by=Cause.UPDATE) is None


@pytest.mark.parametrize("way", TRANSITIONS, ids=lambda way: way.by.value)
def test_reports_are_fenced_and_need_a_run(way: Transition) -> None:
    """Whatever a processor may say is compared with the fence, and requires an active run."""
    of_clients = {Cause.PROCESS, Cause.UPDATE, Cause.CANCEL}
    is_a_report = way.by not in {*of_clients, Cause.DUE, Cause.TURN, Cause.LOST, Cause.EXPIRED}
    assert (way.fence is not None) == is_a_report
    assert way.in_run or not is_a_report


@pytest.mark.parametrize("report_type", get_args(RunReport))
def test_every_report_has_a_row(report_type: type[AttemptReport]) -> None:
    """What a processor may say is the cause of the same name, and what its handler says is `told`."""
    name = "told" if issubclass(report_type, HandlerReport) else report_type.model_fields["type"].default
    assert [way.by for way in TRANSITIONS if way.by == name and way.fence is not None] == [name]
