"""What every process counts, and what those count that talk to NATS."""

from collections.abc import Mapping

from taskmill.runtime.histogram import REQUEST_BUCKETS, Histogram, LabelValues
from taskmill.runtime.metrics import Metric, Metrics
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.request_stats import EndpointStats

NATS_CONNECTED = Metric("taskmill_nats_connected", "gauge", "1 while NATS answers this process, else 0.")
NATS_RECONNECTS = Metric("taskmill_nats_reconnects_total", "counter", "Connections to NATS after the first.")
PERMISSION_VIOLATIONS = Metric(
    "taskmill_nats_permission_violations_total", "counter", "What NATS did not let this process publish or hear."
)
LOOP_DELAY = Metric(
    "taskmill_event_loop_delay_seconds", "histogram", "By how much the event loop was late, looked at once a second."
)
REDELIVERED = Metric(
    "taskmill_redelivered_total", "counter", "Messages that JetStream delivered more than once.", ("stream",)
)
SET_ASIDE = Metric(
    "taskmill_set_aside_total", "counter", "Messages that cannot be read or stored, and are given up.", ("stream",)
)
REQUEST_SECONDS = Metric(
    "taskmill_request_seconds",
    "histogram",
    "Requests over NATS by command and by the code of the error, or `ok`; those that travel together count as one.",
    ("command", "code"),
)

EVERY_SERVICE = (NATS_CONNECTED, NATS_RECONNECTS, PERMISSION_VIOLATIONS, LOOP_DELAY)
"""What `ProcessMetrics` has."""


class ProcessMetrics(Metrics):
    """The metrics that every service has; each adds its own.

    Args:
        session: The service's connection.

    Attributes:
        loop_delay: For a `LoopWatch`.
    """

    def __init__(self, session: NatsSession) -> None:
        super().__init__()
        self.loop_delay = Histogram(REQUEST_BUCKETS)
        self.add(NATS_CONNECTED, lambda: {(): float(session.is_connected)})
        self.add(NATS_RECONNECTS, lambda: {(): session.reconnects})
        self.add(PERMISSION_VIOLATIONS, lambda: {(): session.permission_violations})
        self.add(LOOP_DELAY, lambda: {(): self.loop_delay})


def request_seconds(stats: Mapping[str, EndpointStats]) -> dict[LabelValues, Histogram]:
    """What `REQUEST_SECONDS` tells of a `RequestServer`; a command is named by its subject, without what all share."""
    return {
        (subject.partition(".cmd.")[2] or subject, code): histogram
        for subject, endpoint in stats.items()
        for code, histogram in endpoint.seconds_by_code.copy().items()
    }
