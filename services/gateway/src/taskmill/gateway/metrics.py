"""What a gateway counts."""

from taskmill.gateway.followers import Feed
from taskmill.runtime.metrics import Metric
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.process_metrics import ProcessMetrics

SSE_CLIENTS = Metric("taskmill_sse_clients", "gauge", "Event streams that are open.")
FOLLOWERS = Metric("taskmill_followers", "gauge", "Event streams that are open, and requests that wait for a task.")


def gateway_metrics(session: NatsSession, feed: Feed) -> ProcessMetrics:
    """All that a gateway tells, but for its requests, which the application adds."""
    metrics = ProcessMetrics(session)
    metrics.add(SSE_CLIENTS, lambda: {(): feed.streams})
    metrics.add(FOLLOWERS, lambda: {(): feed.places})
    return metrics
