"""What is made of the samples."""

from pathlib import Path

import pytest

from benchmarks.results import Quantity, Sample, is_complete, keep_sample, medians, of_newest_commit, read_samples


def sample(
    value: float = 1.0,
    *,
    measure: str = "create-64",
    contender: str = "taskmill",
    run: str = "2026-11-24T20:00:00+00:00",
    commit: str = "abc1234",
    left_out: str | None = None,
    failed: str | None = None,
) -> Sample:
    """A sample with one figure, or none when there is a reason."""
    return Sample(
        measure=measure,
        contender=contender,
        run=run,
        commit=commit,
        machine="2 cores",
        versions={"Python": "3.11"},
        others_cpu=0.01,
        figures={} if left_out or failed else {"per_second": value},
        left_out=left_out,
        failed=failed,
    )


def test_samples_are_kept_one_by_one(tmp_path: Path) -> None:
    """What was written down is read again, in order, and nothing is read where nothing was written."""
    path = tmp_path / "results.jsonl"
    assert read_samples(path) == []
    taken = [sample(1.5), sample(failed="MeasurementError: no")]
    for one in taken:
        keep_sample(one, path)
    assert read_samples(path) == taken


def test_the_median_of_each_figure() -> None:
    """Of three samples it is the one in the middle, each contender by itself, failed ones aside."""
    taken = [sample(3), sample(100), sample(5), sample(7, contender="fastapi"), sample(failed="no")]
    assert medians(taken) == {
        Quantity("create-64", "taskmill", "per_second"): 5,
        Quantity("create-64", "fastapi", "per_second"): 7,
    }


def test_only_the_newest_commit_and_the_last_run_of_a_measure_count() -> None:
    """Older commits are aside, and so are older runs of a measure; runs of other measures stay."""
    old_commit, old_run = sample(1, commit="0ld"), sample(2, run="2026-11-24T19:00:00+00:00")
    other_measure, new_run = sample(3, measure="idle", run="2026-11-24T19:00:00+00:00"), sample(4)
    assert of_newest_commit([old_commit, old_run, other_measure, new_run]) == [other_measure, new_run]


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([], False),
        ([sample(), sample()], False),
        ([sample(), sample(), sample(failed="no")], False),
        ([sample(), sample(), sample()], True),
        ([sample(), sample(), sample(), sample(contender="celery", left_out="no redis-server")], True),
        ([sample(), sample(), sample(), sample(contender="fastapi")], False),
        ([sample(commit="0ld"), sample(commit="0ld"), sample(commit="0ld")], False),
    ],
)
def test_a_measure_is_complete_when_each_contender_is(samples: list[Sample], expected: bool) -> None:
    """Three good samples of the commit, or word that it cannot be had."""
    assert is_complete(samples, "create-64", "abc1234", 3) is expected
