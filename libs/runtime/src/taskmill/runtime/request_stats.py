"""What became of the requests on one subject."""

from dataclasses import dataclass, field
from typing import Any

from taskmill.runtime.histogram import REQUEST_BUCKETS, Histogram
from taskmill.runtime.jetstream_api import NANOSECONDS


@dataclass(slots=True)
class EndpointStats:
    """Counters since the process started. A bundle of requests counts as one."""

    requests: int = 0
    """Requests that were answered, in whichever way."""
    errors: int = 0
    """Those that were answered with an error."""
    last_error: str = ""
    """The code of the last such error; empty: there was none."""
    seconds: float = 0.0
    """How long all of them took together."""
    seconds_by_code: dict[str, Histogram] = field(default_factory=dict)
    """How long they took, by the code of the error, or `ok`."""

    def note(self, seconds: float, error_code: str | None) -> None:
        """Count a request that was answered; `error_code` None: without an error."""
        self.requests += 1
        self.seconds += seconds
        if error_code is not None:
            self.errors += 1
            self.last_error = error_code
        code = "ok" if error_code is None else error_code
        histogram = self.seconds_by_code.get(code)
        if histogram is None:
            histogram = self.seconds_by_code[code] = Histogram(REQUEST_BUCKETS)
        histogram.observe(seconds)

    def told(self) -> dict[str, Any]:
        """The counters as `$SRV.STATS` tells them, times in nanoseconds (ADR-32)."""
        nanoseconds = int(self.seconds * NANOSECONDS)
        return {
            # What a service may add; some clients want it to be there.
            "data": {},
            "num_requests": self.requests,
            "num_errors": self.errors,
            "last_error": self.last_error,
            "processing_time": nanoseconds,
            "average_processing_time": nanoseconds // max(1, self.requests),
        }
