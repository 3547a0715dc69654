"""What a process counts, for Prometheus.

Values are plain numbers in dictionaries, kept where they arise: to count costs the hot path a tenth of a microsecond,
where a library's counters, with their locks, take one or two. They are read when somebody asks for them, by
`taskmill.runtime.exposition`, which alone imports such a library.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from taskmill.runtime.histogram import Histogram, LabelValues


class Counts(dict[LabelValues, int]):
    """Counters by their labels; what was never counted is 0."""

    def __missing__(self, labels: LabelValues) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class Metric:
    """What is told under one name.

    Attributes:
        name: As Prometheus wants it: with the unit, and `_total` behind a counter's.
        type: What Prometheus makes of it.
        help: What it is, in a sentence.
        labels: The names of its labels. Each has few values.
    """

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


Values = Mapping[Any, float | Histogram]
"""By `LabelValues`; a histogram's are histograms."""


class Metrics:
    """Everything that a process tells, and where it is read."""

    def __init__(self) -> None:
        self._reads: dict[Metric, Callable[[], Values]] = {}

    def add(self, metric: Metric, read: Callable[[], Values]) -> None:
        """Tell a metric.

        Args:
            metric: What.
            read: Returns its values by their labels, in the order of the metric's. Called from another thread.
        """
        self._reads[metric] = read

    def read(self) -> list[tuple[Metric, dict[LabelValues, float | Histogram]]]:
        """All metrics with their values now."""
        # A dictionary is copied in one step, whatever another thread does meanwhile.
        return [(metric, dict(read())) for metric, read in self._reads.items()]
