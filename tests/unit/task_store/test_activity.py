"""How long things took, from how often they took about how long."""

import pytest

from taskmill.task_store.domain.activity import BOUNDS, quantile


def _counts(**by_bound: int) -> list[int]:
    return [by_bound.get(f"b{index}", 0) for index in range(len(BOUNDS) + 1)]


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        (_counts(), 0.5, None),
        (_counts(b0=1), 0.5, 0.0025),
        (_counts(b0=10), 0.95, 0.00475),
        (_counts(b0=1, b7=1), 0.5, 0.005),
        (_counts(b0=1, b7=1), 1.0, 1.0),
        (_counts(b16=3), 0.5, BOUNDS[-1]),
    ],
)
def test_quantiles_lie_within_the_size_that_they_fall_into(
    counts: list[int], share: float, expected: float | None
) -> None:
    """Where nothing was counted there is none; beyond the last bound that is told."""
    assert quantile(counts, share) == (None if expected is None else pytest.approx(expected))
