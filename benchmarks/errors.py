"""What may go wrong in the suite."""


class BenchmarkError(Exception):
    """Base of all."""


class LeftOutError(BenchmarkError):
    """Something cannot be had here; the text says what, and how to get it."""


class MeasurementError(BenchmarkError):
    """A sample is not worth keeping; the text says why."""
