"""How figures are held against what must be reached."""

import pytest

from benchmarks.catalogue import MEASURES, QUICK
from benchmarks.results import Quantity
from benchmarks.targets import TARGETS, Target, Verdict, judge

OURS, THEIRS = Quantity("race", "taskmill", "per_second"), Quantity("race", "celery", "per_second")


@pytest.mark.parametrize(
    ("ours", "verdict"), [(40, Verdict.GOAL), (39, Verdict.MUST), (35, Verdict.MUST), (34, Verdict.MISSED)]
)
def test_a_ratio(ours: float, verdict: Verdict) -> None:
    """More is better, and what is exactly reached counts."""
    judgement = judge(Target("race", OURS, THEIRS, must=3.5, goal=4.0), {OURS: ours, THEIRS: 10})
    assert (judgement.value, judgement.verdict) == (ours / 10, verdict)


@pytest.mark.parametrize(
    ("ours", "verdict"), [(1.0, Verdict.GOAL), (1.1, Verdict.MUST), (1.5, Verdict.MUST), (1.6, Verdict.MISSED)]
)
def test_a_limit(ours: float, verdict: Verdict) -> None:
    """Less is better, and what is exactly kept counts."""
    assert judge(Target("p50", OURS, None, must=1.5, goal=1.0, is_limit=True), {OURS: ours}).verdict is verdict


@pytest.mark.parametrize("measured", [{}, {OURS: 1.0}, {THEIRS: 1.0}, {OURS: 1.0, THEIRS: 0.0}])
def test_nothing_is_said_of_what_is_missing(measured: dict[Quantity, float]) -> None:
    """Without either side of a ratio there is no verdict."""
    judgement = judge(Target("race", OURS, THEIRS, must=1, goal=2), measured)
    assert (judgement.value, judgement.verdict) == (None, Verdict.NOT_MEASURED)


def test_every_target_speaks_of_a_measure() -> None:
    """A name that no measure has would be "not measured" for ever."""
    names = {measure.name for measure in MEASURES}
    asked_for = {quantity.measure for target in TARGETS for quantity in (target.of, target.over) if quantity}
    assert asked_for <= names
    assert set(QUICK) <= names
