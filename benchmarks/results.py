"""What was measured, one JSON object a line, so that a run that is stopped keeps what it has."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import ROOT

RESULTS = ROOT / "docs" / "benchmarks.jsonl"


@dataclass(frozen=True, slots=True)
class Sample:
    """One contender, measured once.

    Attributes:
        measure: The measure's name.
        contender: The contender's name.
        run: When the invocation began that took it, as ISO 8601.
        commit: What was measured.
        machine: Where.
        versions: What the contender runs on.
        others_cpu: The part of all cores that processes of others took meanwhile, 0 to 1.
        figures: What it showed; empty when there is nothing.
        left_out: Why the contender cannot be had here; None when it can.
        failed: Why the sample is worth nothing; None when it is.
    """

    measure: str
    contender: str
    run: str
    commit: str
    machine: str
    versions: Mapping[str, str]
    others_cpu: float
    figures: Mapping[str, float] = field(default_factory=dict)
    left_out: str | None = None
    failed: str | None = None


class Quantity(NamedTuple):
    """One figure of one contender in one measure."""

    measure: str
    contender: str
    figure: str


def read_samples(path: Path = RESULTS) -> Sequence[Sample]:
    """All samples that were taken, in that order."""
    return [Sample(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def keep_sample(sample: Sample, path: Path = RESULTS) -> None:
    """Write a sample down behind the others."""
    with path.open("a") as file:
        file.write(json.dumps(asdict(sample)) + "\n")


def of_newest_commit(samples: Sequence[Sample]) -> Sequence[Sample]:
    """The samples of the commit that was measured last; of each measure those of its last run."""
    newest = [sample for sample in samples if sample.commit == samples[-1].commit]
    last_run = {sample.measure: sample.run for sample in newest}
    return [sample for sample in newest if sample.run == last_run[sample.measure]]


def is_complete(samples: Sequence[Sample], measure: str, commit: str, rounds: int) -> bool:
    """Tell whether a measure needs no further run on a commit: each contender was sampled in full, or is left out."""
    taken = [sample for sample in of_newest_commit(samples) if (sample.measure, sample.commit) == (measure, commit)]
    by_contender: dict[str, list[Sample]] = {}
    for sample in taken:
        by_contender.setdefault(sample.contender, []).append(sample)
    return bool(taken) and all(
        any(sample.left_out for sample in of_one) or sum(sample.failed is None for sample in of_one) >= rounds
        for of_one in by_contender.values()
    )


def medians(samples: Sequence[Sample]) -> Mapping[Quantity, float]:
    """The median of each figure over the samples of its contender."""
    values: dict[Quantity, list[float]] = {}
    for sample in samples:
        for figure, value in sample.figures.items():
            values.setdefault(Quantity(sample.measure, sample.contender, figure), []).append(value)
    return {quantity: statistics.median(of_one) for quantity, of_one in values.items()}
