"""How often values of which size were observed."""

from bisect import bisect_left

LabelValues = tuple[str, ...]

REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds in seconds, for what somebody waits for."""

TASK_BUCKETS = (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0)
"""Upper bounds in seconds, for what tasks take."""


class Histogram:
    """How often a value was observed, by its size.

    Args:
        bounds: Upper bounds of the buckets, rising; beyond the last there is one more.

    Attributes:
        counts: How many values fell into each bucket.
        sum: All values together.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Histograms(dict[LabelValues, Histogram]):
    """Histograms by their labels, each made when it is first asked for.

    Args:
        bounds: See `Histogram`.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        super().__init__()
        self._bounds = bounds

    def __missing__(self, labels: LabelValues) -> Histogram:
        histogram = self[labels] = Histogram(self._bounds)
        return histogram
