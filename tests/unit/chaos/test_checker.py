"""The checker is checked: each invariant catches what is planted against it, and a run that shows nothing fails."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.checker.history import LIMITED_KIND, FaultWindow, History, LoggedEvent, Operation, Outcome, SeenTask
from tests.chaos.checker.turns import limit_use
from tests.chaos.checker.verdict import INVARIANTS, judge
from tests.unit.chaos.stories import BASE_SECONDS, begin, event, operation, row, sound, started, with_log, with_row

Plant = Callable[[History], History]


def _without_rows(history: History) -> History:
    return replace(history, rows={"b": history.rows["b"]})


def _with_operations(*operations_added: Operation) -> Plant:
    return lambda history: replace(history, operations=[*history.operations, *operations_added])


def _with_replaced_work(log: list[LoggedEvent]) -> list[LoggedEvent]:
    return [*log[:4], event(5, "queued", status="queued", dispatch=2, reason="lost"), *log[5:]]


def _with_lines(version: int, *positions: int, dropped: int = 0) -> LoggedEvent:
    lines = [{"position": position} for position in positions]
    return event(version, "logged", status="in_progress", dropped=dropped, lines=lines)


def _created_under(key: str, created: LoggedEvent) -> LoggedEvent:
    return replace(created, data={**created.data, "unique_key": key})


def _with_only_fault(name: str, target: str) -> Plant:
    return lambda history: replace(history, faults=[replace(history.faults[0], name=name, target=target)])


_FAILED = {"code": "handler_error", "message": "no"}
_CRASH_LOOP = {"code": "crash_loop", "message": "no"}


def _with_executions(executions: int) -> Plant:
    """Tasks of the limited kind that are all executed from one moment to another."""
    ids = [f"limited-{number}" for number in range(executions)]
    log = [
        replace(told := event(version, kind, task_id, **data), data={**told.data, "kind": LIMITED_KIND})
        for task_id in ids
        for version, (kind, data) in enumerate(_EXECUTED, start=1)
    ]
    effects = [
        replace(begin(task_id, "p-1", at, phase=phase), task_id=task_id)
        for task_id in ids
        for at, phase in ((3.1, "begin"), (3.9, "end"))
    ]
    return lambda history: replace(history, effects=[*history.effects, *effects], log=[*history.log, *log])


_EXECUTED: list[tuple[str, dict[str, Any]]] = [
    ("created", {"status": "pending", "run": 0, "attempt": 0}),
    ("queued", {"status": "queued", "dispatch": 1, "reason": "turn"}),
    ("started", {"status": "in_progress", "processor_id": "p-1", "delivery": 1, "dispatch": 1}),
    ("completed", {"status": "completed"}),
]

PLANTED: Mapping[str, Plant] = {
    "no_more_at_once_than_the_limit": _with_executions(6),
    "each_time_comes_once": lambda history: replace(history, fires=history.fires[1:]),
    "each_fire_has_its_task": lambda history: replace(
        history, fires=[history.fires[0], {**history.fires[1], "outcome": "created"}]
    ),
    "every_fault_happened": lambda history: replace(
        history, faults=[*history.faults, FaultWindow("store_killed", "", 0, 0, missed="it had ended already")]
    ),
    "no_accepted_task_lost": lambda history: replace(_without_rows(history), log=history.log[5:]),
    "only_what_was_to_be_deleted_is": _with_operations(
        operation(Outcome.OK, verb="delete", key="d", task_id="a", http_status=204)
    ),
    "no_phantom_task": lambda history: replace(history, rows={**history.rows, "c": row("c", "nobody's")}),
    "submitted_tasks_exist_once": lambda history: with_row(history, "a", labels={"mark": "m", "submits": "one"}),
    "nothing_begins_while_paused": lambda history: _with_operations(
        operation(Outcome.OK, BASE_SECONDS + 20, verb="pause", key="p"),
        operation(Outcome.OK, BASE_SECONDS + 30, verb="resume", key="q"),
    )(
        replace(
            history,
            log=[event(1, "created", status="pending", run=0, attempt=0, queue="pausable"), *history.log[1:]],
            effects=[*history.effects, begin("x2", "p-2", 25)],
        )
    ),
    "refused_creations_left_nothing": lambda history: _with_operations(
        operation(Outcome.INVOKE, key="refused", marks=("r",)),
        operation(Outcome.FAIL, key="refused", http_status=422),
    )(replace(history, rows={**history.rows, "c": row("c", "r")})),
    "one_task_for_each_key": lambda history: replace(history, rows={**history.rows, "c": row("c", "m")}),
    "every_key_was_settled": _with_operations(operation(Outcome.INFO, key="hidden", http_status=503)),
    "no_internal_error": _with_operations(operation(Outcome.INFO, key=None, http_status=500)),
    "reads_are_monotonic": _with_operations(
        operation(Outcome.OK, verb="read", key=None, seen=(SeenTask("a", 3),), http_status=200)
    ),
    "nothing_starts_before_what_it_comes_after": lambda history: replace(
        with_row(history, "a", labels={"mark": "m", "after": "b"}),
        log=[*history.log, event(6, "completed", "b", status="completed", result=None)],
    ),
    "what_is_not_completed_cancels_what_comes_after": lambda history: with_row(
        history, "b", labels={"mark": "n", "after": "a"}
    ),
    "groups_have_one_outcome": _with_operations(
        operation(Outcome.INVOKE, verb="create_group", key="g", marks=("m", "m", "n")),
        operation(Outcome.OK, verb="create_group", key="g", http_status=201),
    ),
    "every_task_ends": lambda history: with_row(history, "a", status="in_progress"),
    "versions_have_no_gap": lambda history: with_log(history, lambda log: [*log[:2], *log[3:]]),
    "one_end_for_each_run": lambda history: with_log(
        history, lambda log: [*log, event(6, "failed", status="failed", error=_FAILED)]
    ),
    "transitions_are_legal": lambda history: with_log(history, lambda log: [log[0], *log[2:]]),
    "attempts_rise_within_their_limit": lambda history: with_log(
        history,
        lambda log: [
            *log[:4],
            event(5, "scheduled", status="scheduled", attempt=2, reason="retry", run_at="2026-11-24T12:00:00Z"),
            *log[5:],
        ],
    ),
    "rows_are_the_fold_of_their_log": lambda history: with_row(history, "a", attempt=2),
    "crash_loop_needs_three_crashes": lambda history: with_log(
        history, lambda log: [*log[:4], event(5, "failed", status="failed", error=_CRASH_LOOP), *log[5:]]
    ),
    "lines_are_told_once": lambda history: with_log(
        history, lambda log: [*log[:4], *(_with_lines(version, 3, dropped=2) for version in (5, 6)), *log[5:]]
    ),
    "only_poison_fails": lambda history: with_row(history, "a", status="failed", error=_FAILED),
    "every_event_reaches_the_bus": lambda history: replace(history, witnessed=history.log[:-1]),
    "the_bus_tells_only_what_is_committed": lambda history: replace(
        history, witnessed=[*history.witnessed, event(6, "updated", status="completed")]
    ),
    "first_occurrences_are_in_order": lambda history: replace(
        history, witnessed=[history.log[0], history.log[2], history.log[1], *history.log[3:]]
    ),
    "no_stale_report_applied": lambda history: with_log(
        history, lambda log: [*log[:4], event(5, "completed", status="completed", result={"execution": "x1"}), *log[5:]]
    ),
    "one_effective_completion": lambda history: replace(
        history, effects=[effect for effect in history.effects if effect.phase == "begin"]
    ),
    "cancelled_before_its_start_never_ran": lambda history: with_log(
        history,
        lambda log: [
            *log[:1],
            event(2, "scheduled", status="scheduled", reason="run_at", run_at="2026-11-24T11:00:00Z"),
            event(3, "cancelled", status="cancelled", cancellation="before_start"),
            *log[5:],
        ],
    ),
    "nothing_runs_early": lambda history: with_log(
        history,
        lambda log: [
            log[0],
            event(2, "scheduled", status="scheduled", reason="run_at", run_at="2026-11-24T12:00:01Z"),
            *log[2:],
        ],
    ),
    "every_start_was_committed_first": lambda history: replace(
        history, effects=[*history.effects, begin("x3", "p-1", 9, attempt=2)]
    ),
    "a_key_has_one_holder_at_a_time": lambda history: with_log(
        history, lambda log: [_created_under("k", log[0]), *log[1:4], _created_under("k", log[5]), log[4], *log[6:]]
    ),
    "who_asks_under_a_key_is_told_one_of_it": _with_operations(
        operation(Outcome.INVOKE, key="u", marks=("m",), unique_key="k"),
        operation(Outcome.OK, key="u", seen=(SeenTask("a", 2),), http_status=200),
    ),
    "keys_are_held_by_who_has_not_ended": lambda history: replace(
        with_row(history, "a", unique_key="k"), held_keys={"k": "a"}
    ),
    "no_second_execution_without_a_fault": lambda history: replace(history, faults=[]),
    "no_work_lost_without_a_fault": lambda history: with_log(history, _with_replaced_work),
}


def test_sound_history_is_clean() -> None:
    """A history in which faults were survived, bus duplicates included, passes."""
    verdict = judge(sound())
    assert (verdict.violations, verdict.shortcomings) == ({}, ())
    assert verdict.status == "clean"


@pytest.mark.parametrize("name", PLANTED)
def test_planted_violation_is_caught(name: str) -> None:
    """What is planted against an invariant is caught by that one."""
    assert name in judge(PLANTED[name](sound())).violations


def test_a_submitted_task_is_expected() -> None:
    """One of them is sound, whoever asks: nobody but its handler did."""
    history = with_row(sound(), "a", labels={"mark": "m", "submits": "one"})
    rows = {**history.rows, "c": row("c", "m-submitted", version=0)}
    assert judge(replace(history, rows=rows)).violations.keys() == {"one_effective_completion"}


def test_every_invariant_has_a_planted_violation() -> None:
    """No invariant is taken on trust."""
    assert {invariant.__name__ for invariant in INVARIANTS} == set(PLANTED)


@pytest.mark.parametrize(
    ("sign", "blind"),
    [
        (
            "redeliveries",
            lambda history: replace(
                history, log=[started(3) if event.version in {3, 4} else event for event in history.log]
            ),
        ),
        ("stale reports", lambda history: replace(history, reported=["x2"])),
        ("replayed answers", lambda history: replace(history, operations=history.operations[4:])),
        ("unknown outcomes", lambda history: replace(history, operations=history.operations[2:])),
        ("expired leases", lambda history: replace(history, log=history.log[:5])),
        ("reconnects", lambda history: replace(history, reconnects=0)),
    ],
)
def test_run_without_a_sign_is_vacuous(sign: str, blind: Plant) -> None:
    """A run in which one kind of trouble never showed does not count, however clean it is."""
    verdict = judge(blind(sound()))
    assert f"no {sign}" in verdict.shortcomings
    assert verdict.status != "clean"


def test_empty_run_is_vacuous() -> None:
    """A run in which nothing happened violates nothing, and does not count."""
    verdict = judge(History())
    assert verdict.status == "vacuous"


def test_read_of_an_accepted_task_that_finds_nothing_is_caught() -> None:
    """A client that was promised a task finds it."""
    missing = operation(Outcome.FAIL, verb="read", key=None, task_id="a", http_status=404)
    assert "reads_are_monotonic" in judge(_with_operations(missing)(sound())).violations


def test_run_with_a_fault_at_rest_is_vacuous() -> None:
    """A fault that was inflicted while too little was in progress proves nothing."""
    verdict = judge(replace(sound(), wanted_in_progress=61))
    assert (verdict.status, verdict.shortcomings) == ("vacuous", ("processor_killed with 60 tasks in progress",))


@pytest.mark.parametrize(
    ("name", "target", "is_explained"),
    [
        ("processor_killed", "p", True),
        ("processor_killed", "q", False),
        ("store_killed", "store-1", False),
        ("edge_cut", "processor-nats", True),
        ("edge_cut", "store-nats", False),
        ("nats_killed", "nats", True),
        ("poison", "chaos-exit", True),
    ],
)
def test_fault_explains_second_executions_of_what_it_hit(name: str, target: str, is_explained: bool) -> None:
    """A processor that dies explains what it had begun, NATS explains everything, and a store nothing."""
    violations = judge(_with_only_fault(name, target)(sound())).violations
    assert ("no_second_execution_without_a_fault" not in violations) == is_explained


@pytest.mark.parametrize(
    ("name", "target", "is_explained"),
    [
        ("jetstream_deleted", "nats", True),
        ("zombies", "zombie", True),
        ("processor_killed", "p", False),
        ("failpoint store.before_commit", "store-1", False),
    ],
)
def test_fault_explains_lost_work_only_where_jetstream_may_lose_it(name: str, target: str, is_explained: bool) -> None:
    """Work that has to be replaced after a mere crash of a service shows that something was acknowledged too early."""
    history = with_log(_with_only_fault(name, target)(sound()), _with_replaced_work)
    assert ("no_work_lost_without_a_fault" not in judge(history).violations) == is_explained


def test_lines_that_are_missing_and_said_to_be_are_sound() -> None:
    """What a processor dropped is counted in the next event of lines."""
    end = event(7, "completed", status="completed", result={"execution": "x2"})
    history = with_log(
        sound(), lambda log: [*log[:4], _with_lines(5, 1, 2), _with_lines(6, 5, dropped=2), end, *log[5:]]
    )
    assert judge(with_row(history, "a", version=7, revision=7)).violations == {}


def test_keys_pass_on_in_turn() -> None:
    """A task that has ended, or was debounced and is queued, makes room for the next of its key."""
    sound_log = sound().log
    log = [_created_under("k", sound_log[0]), *sound_log[1:5], _created_under("k", sound_log[5]), *sound_log[6:]]
    assert judge(with_log(sound(), lambda _: log)).violations == {}
    labels = {"labels": {"debounced": "yes"}}
    queued = replace(sound_log[1], data={**sound_log[1].data, **labels})
    log = [log[0], queued, log[5], *log[2:5], *log[6:]]
    assert judge(with_log(sound(), lambda _: log)).violations == {}


def test_start_of_an_earlier_delivery_is_caught() -> None:
    """A report of an execution that was given up does not count, also if it is told as if it took the attempt over."""
    history = with_log(sound(), lambda log: [*log[:4], started(5, "p-1", delivery=1), *log[5:]])
    assert "no_stale_report_applied" in judge(history).violations


@pytest.mark.parametrize(("kills", "is_explained"), [(0, False), (1, True)])
def test_crash_loop_of_an_innocent_needs_an_inflicted_crash(kills: int, is_explained: bool) -> None:
    """Poison may be charged to a neighbour twice, so that one of three crashes comes of another fault."""
    history = with_row(sound(), "a", status="failed", error=_CRASH_LOOP)
    faults = [FaultWindow("processor_killed", "p", BASE_SECONDS + at, BASE_SECONDS + at, 60) for at in (1, 21)[:kills]]
    effects = [begin(f"x{number}", f"p-{number}", at) for number, at in enumerate((0.5, 3, 23, 43))]
    violations = judge(replace(history, faults=faults, effects=effects)).violations
    assert ("only_poison_fails" not in violations) == is_explained


def test_what_is_kept_by_hand_is_in_no_run() -> None:
    """A person may set a completed task to pending again, and cancel it, though its run has ended, and was executed."""
    history = with_row(
        with_log(
            sound(),
            lambda log: [
                *log,
                event(6, "updated", status="pending"),
                event(7, "cancelled", status="cancelled", cancellation="before_start"),
            ],
        ),
        "a",
        version=7,
        revision=7,
        status="cancelled",
    )
    assert judge(history).violations == {}


def test_as_many_at_once_as_the_limit_allows_are_sound() -> None:
    """Five are no violation, and the limit was used."""
    history = _with_executions(5)(sound())
    assert "no_more_at_once_than_the_limit" not in judge(history).violations
    assert limit_use(history)["most_at_once"] == 5
