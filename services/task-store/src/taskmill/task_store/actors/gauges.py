"""Reads how queues, relay and reports stand, for metrics."""

from collections.abc import Callable, Mapping

import structlog

from taskmill.contracts import subjects
from taskmill.contracts.errors import TaskmillError
from taskmill.contracts.status import Priority
from taskmill.contracts.streams import REPORTS_STREAM
from taskmill.runtime.actor import Actor, is_set_within
from taskmill.runtime.clock import Clock
from taskmill.runtime.errors import JetStreamError
from taskmill.runtime.histogram import LabelValues
from taskmill.runtime.metrics import Metric, Metrics
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.stream_state import oldest_stored_at
from taskmill.task_store import metrics as told
from taskmill.task_store.adapters.gauge_rows import GaugeRows
from taskmill.task_store.adapters.processor_rows import ProcessorRows
from taskmill.task_store.adapters.queue_rows import QueueRows
from taskmill.task_store.domain.fleet import QueueState
from taskmill.task_store.domain.waiting import PROCESSOR_LIFE

_log = structlog.get_logger(__name__)

LOOK_INTERVAL_SECONDS = 5
MAX_QUEUES = 1_000


class Gauges(Actor):
    """Looks every 5 s, in every store, so that what is told does not depend on one; and only where metrics are told.

    What could not be read is told as it was read last; `taskmill_last_look_timestamp_seconds` says when.

    Args:
        session: The connection.
        queues: How queues stand.
        rows: How the relay stands.
        processors: Which processors live, and serve which queue.
        metrics: Where it is told.
        now: The clock.
    """

    name = "gauges"

    def __init__(
        self,
        session: NatsSession,
        queues: QueueRows,
        rows: GaugeRows,
        processors: ProcessorRows,
        metrics: Metrics,
        *,
        now: Clock,
    ) -> None:
        self._session = session
        self._queues = queues
        self._rows = rows
        self._processors = processors
        self._now = now
        self._values: dict[Metric, Mapping[LabelValues, float]] = {}
        for metric in told.LOOKED_AT:
            metrics.add(metric, self._reader(metric))

    async def run(self, started: Callable[[], None]) -> None:
        """Look until stopped."""
        started()
        while not self._stop_requested.is_set():
            try:
                await self._look()
            except (TaskmillError, JetStreamError) as error:
                _log.debug("gauges.postponed", error=str(error))
            await is_set_within(self._stop_requested, LOOK_INTERVAL_SECONDS)

    def _reader(self, metric: Metric) -> Callable[[], Mapping[LabelValues, float]]:
        return lambda: self._values.get(metric, {})

    async def _look(self) -> None:
        now = self._now()
        relay = await self._rows.relay_lag()
        self._values |= {told.RELAY_LAG: {(): relay.seconds}, told.RELAY_BACKLOG: {(): relay.backlog}}
        seen_since = now - PROCESSOR_LIFE
        queues = await self._queues.page(behind="", limit=MAX_QUEUES)
        servers = await self._processors.servers(seen_since, [queue.name for queue in queues], limit=0)
        self._values |= {
            told.PROCESSORS: {(): await self._processors.count(seen_since)},
            told.QUEUE_DEPTH: {(it.name, name): depth for it in queues for name, depth in _depths(it)},
            told.QUEUE_SCHEDULED: {(it.name,): it.waiting - sum(depth for _, depth in _depths(it)) for it in queues},
            told.QUEUE_IN_PROGRESS: {(it.name,): it.in_progress for it in queues},
            told.QUEUE_PAUSED: {(it.name,): it.paused_at is not None for it in queues},
            told.QUEUE_PROCESSORS: {(it.name,): servers[it.name].total if it.name in servers else 0 for it in queues},
            told.OLDEST_QUEUED: {(it.name,): told.oldest_age(it.oldest_queued_at, now) for it in queues},
        }
        oldest = await oldest_stored_at(self._session, REPORTS_STREAM, subjects.REPORT_SUBJECTS)
        self._values |= {
            told.REPORT_LAG: {(): told.oldest_age(oldest, now)},
            told.LAST_LOOK: {(): now.timestamp()},
        }


def _depths(queue: QueueState) -> list[tuple[str, int]]:
    return [(priority.value, getattr(queue, f"queued_{priority.value}")) for priority in Priority]
