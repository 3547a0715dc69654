"""The results of rounds, and the page that is made of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.checker.summary import story, summarise
from tests.chaos.checker.verdict import judge
from tests.chaos.faults.catalogue import all_faults
from tests.chaos.plan import ROUNDS, round_plan, usual_plan
from tests.chaos.report import REPORT, render
from tests.chaos.rounds import RESULTS, keep_result, read_results, surroundings
from tests.unit.chaos.stories import sound


def result(**figures: Any) -> Mapping[str, Any]:
    """The result of a clean round, some of it changed."""
    history = sound()
    summary = summarise(history, judge(history))
    return {"round": 1, "seed": 1001, **surroundings(), "status": "clean", **summary, "seconds": 600, **figures}


def test_rounds_hold_what_they_promise() -> None:
    """Together they have 1,000 kills, JetStream is deleted ten times, and every fault comes five times or more."""
    times = {name: ROUNDS * count for name, count in round_plan().faults.items()}
    kills = [name for name in times if name.endswith("_killed") or name.startswith(("failpoint", "jetstream"))]
    assert sum(times[name] for name in kills) >= 1_000
    assert times["jetstream_deleted"] >= 10
    assert min(times.values()) >= 5
    assert times.keys() == all_faults().keys()


@pytest.mark.parametrize("has_own_disks", [True, False])
def test_usual_plan_leaves_out_only_what_needs_root(has_own_disks: bool) -> None:
    """Every fault comes at least once; where no disk can be mounted, all but the two that fill one."""
    plan = usual_plan(has_own_disks=has_own_disks)
    assert len(all_faults()) - len(plan.faults) == (0 if has_own_disks else 2)
    assert plan.fills_disks == has_own_disks
    assert min(plan.faults.values()) >= 1


def test_results_are_kept_one_a_line(tmp_path: Path) -> None:
    """What was kept comes back, in the order in which it was kept."""
    path = tmp_path / "results.jsonl"
    assert read_results(path) == []
    kept = [result(), result(round=2, status="violated")]
    for one in kept:
        keep_result(path, one)
    assert read_results(path) == kept


def test_page_says_what_zero_bounds() -> None:
    """What is claimed follows from the number of kills."""
    page = render([result(kills=600, accepted=60_000), result(kills=400, accepted=50_000, round=2)])
    assert "**1,000 kills over 110,000 accepted tasks in 2 rounds" in page
    assert "less than 0.30 %\nof kills" in page


def test_page_hides_no_failure() -> None:
    """A round that failed is named with its reason, and nothing is claimed."""
    failed = result(kills=99, round=2, status="violated", violations={"every_task_ends": 2})
    page = render([result(kills=600, accepted=60_000), failed])
    assert "**In 1 more a promise was broken**" in page
    assert "| violated: every_task_ends (2) |" in page
    assert "95 %" not in page


def test_a_fault_that_could_not_be_inflicted_is_told() -> None:
    """No promise is broken by it: the round's kills count, and the page says that it was not as planned."""
    missed = result(kills=400, accepted=50_000, round=2, status="violated", violations={"every_fault_happened": 1})
    page = render([result(kills=600, accepted=60_000), missed])
    assert "**1,000 kills over 110,000 accepted tasks in 2 rounds" in page
    assert "In 1 of these one fault could not be inflicted" in page
    assert "| clean, 1 fault missed |" in page
    assert "less than 0.30 %" in page


def test_page_claims_nothing_from_other_code() -> None:
    """What an earlier commit showed, good or bad, is told, and counts for nothing."""
    earlier = [result(commit="a", kills=500, status=status, round=2) for status in ("clean", "violated")]
    page = render([*earlier, result(commit="b", kills=1_000, accepted=50_000)])
    assert "**1,000 kills over 50,000 accepted tasks in 1 rounds" in page
    assert "less than 0.30 %" in page
    assert page.count("| 2 | 1001 | a |") == 2


def test_page_is_that_of_the_results() -> None:
    """docs/reliability.md is made from docs/reliability.jsonl."""
    if RESULTS.exists():
        assert REPORT.read_text() == render(read_results(RESULTS))


def test_story_of_a_task_has_everything_in_order() -> None:
    """What clients were told, what was logged, what was executed, and the faults that came in between."""
    lines = story(sound(), "a")
    assert [line[:15] for line in lines] == sorted(line[:15] for line in lines)
    for part in ("5 completed", "begin x2 attempt 1 p-2", "FAULT processor_killed p"):
        assert [line for line in lines if part in line], (part, lines)
