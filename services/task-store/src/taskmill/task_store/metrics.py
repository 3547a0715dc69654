"""What a task store counts."""

from collections.abc import Sequence
from datetime import datetime

from taskmill.contracts.events import EventType
from taskmill.contracts.schedules import FireOrigin, FireOutcome
from taskmill.contracts.status import TaskStatus
from taskmill.runtime.histogram import TASK_BUCKETS, Histograms
from taskmill.runtime.metrics import Counts, Metric, Metrics
from taskmill.task_store.domain.batch import Batch, Silence
from taskmill.task_store.domain.state import Hold
from taskmill.task_store.domain.waiting import ServedWork

MAX_LABELLED_KINDS = 100
OTHER_KINDS = "other"
MISSED = "missed"

CREATED = Metric("taskmill_tasks_created_total", "counter", "Tasks that were created.", ("kind",))
FINISHED = Metric("taskmill_tasks_finished_total", "counter", "Runs that ended, by how.", ("kind", "outcome"))
QUEUE_WAIT = Metric(
    "taskmill_task_queue_wait_seconds", "histogram", "From when an attempt is queued to its start.", ("queue",)
)
TURN_WAIT = Metric(
    "taskmill_task_turn_wait_seconds",
    "histogram",
    "From when a task came to wait for its turn, or was edited since, to when it was let through.",
    ("queue",),
)
RUN_TIME = Metric(
    "taskmill_task_run_seconds",
    "histogram",
    "From the start of an attempt to its end, by how it ended.",
    ("kind", "outcome"),
)
END_TO_END = Metric(
    "taskmill_task_end_to_end_seconds",
    "histogram",
    "From the creation of a task to the end of its first run, with the time that its client let it wait.",
    ("kind",),
)
REJECTED = Metric(
    "taskmill_stale_reports_rejected_total",
    "counter",
    "Reports that changed nothing: of an execution that was given up, of a task that is gone, or told before.",
    ("type",),
)
REPLAYED = Metric(
    "taskmill_idempotent_replays_total", "counter", "Requests that were answered as the first under their key was."
)
LEASES_EXPIRED = Metric(
    "taskmill_lease_expiries_total",
    "counter",
    "Executions whose processor fell silent, by what became of them: another delivery took over, the reconciler "
    "dispatched the attempt again, or a cancellation took effect.",
    ("then",),
)
FIRES = Metric(
    "taskmill_schedule_fires_total",
    "counter",
    "Times of schedules that came, by what became of them: a task was made, none was because of others in a run, or "
    "they passed in an outage. With those by hand and of backfills.",
    ("outcome",),
)
FIRE_LAG = Metric(
    "taskmill_schedule_fire_lag_seconds",
    "histogram",
    "From a time of a schedule to its task, with what was made up for after outages.",
)
QUEUE_DEPTH = Metric("taskmill_queue_depth", "gauge", "Tasks that are queued.", ("queue", "priority"))
QUEUE_SCHEDULED = Metric("taskmill_queue_scheduled", "gauge", "Tasks that wait for their time.", ("queue",))
QUEUE_IN_PROGRESS = Metric("taskmill_queue_in_progress", "gauge", "Tasks that are being executed.", ("queue",))
QUEUE_PAUSED = Metric("taskmill_queue_paused", "gauge", "1 while the queue is paused, else 0.", ("queue",))
QUEUE_PROCESSORS = Metric(
    "taskmill_queue_processors", "gauge", "Living processors that serve the queue and do not drain.", ("queue",)
)
OLDEST_QUEUED = Metric(
    "taskmill_oldest_queued_age_seconds",
    "gauge",
    "How long the oldest task that is queued waits; 0: none is.",
    ("queue",),
)
RELAY_LAG = Metric(
    "taskmill_relay_lag_seconds", "gauge", "How long the oldest event waits that is not published; 0: all are."
)
RELAY_BACKLOG = Metric("taskmill_relay_backlog", "gauge", "Events that are not published.")
REPORT_LAG = Metric(
    "taskmill_report_lag_seconds", "gauge", "How long the oldest report waits in TASK_REPORTS; 0: none does."
)
PROCESSORS = Metric("taskmill_processors", "gauge", "Living processors.")
LEADS = Metric("taskmill_store_leads", "gauge", "1 in the store that leads, else 0.")
TURN_LANES = Metric(
    "taskmill_turn_lanes",
    "gauge",
    "Queues, priorities, kinds and keys in which tasks wait for their turn; of the leader.",
)
LAST_LOOK = Metric(
    "taskmill_last_look_timestamp_seconds", "gauge", "When the gauges of queues, lags and processors were read last."
)

COUNTED = (
    CREATED,
    FINISHED,
    TURN_WAIT,
    QUEUE_WAIT,
    RUN_TIME,
    END_TO_END,
    REJECTED,
    REPLAYED,
    LEASES_EXPIRED,
    FIRES,
    FIRE_LAG,
)
LOOKED_AT = (
    *(QUEUE_DEPTH, QUEUE_SCHEDULED, QUEUE_IN_PROGRESS, QUEUE_PAUSED, QUEUE_PROCESSORS, OLDEST_QUEUED),
    *(RELAY_LAG, RELAY_BACKLOG, REPORT_LAG, PROCESSORS, LAST_LOOK),
)

_OUTCOMES = {
    EventType.COMPLETED: TaskStatus.COMPLETED.value,
    EventType.FAILED: TaskStatus.FAILED.value,
    EventType.CANCELLED: TaskStatus.CANCELLED.value,
}


class BatchCounts:
    """Counts what batches did, after their commit.

    A kind gets a label of its own when a living processor serves it, for clients may name any: 100 kinds at most.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}
        self._created = Counts()
        self._finished = Counts()
        self._queue_wait = Histograms(TASK_BUCKETS)
        self._turn_wait = Histograms(TASK_BUCKETS)
        self._run_time = Histograms(TASK_BUCKETS)
        self._end_to_end = Histograms(TASK_BUCKETS)
        self._rejected = Counts()
        self._replayed = 0
        # Those that there are, from the start: the first is seen as an increase.
        self._fires = Counts({(outcome,): 0 for outcome in (*(it.value for it in FireOutcome), MISSED)})
        self._fire_lag = Histograms(TASK_BUCKETS)
        self._expired = Counts({(then.value,): 0 for then in Silence})

    def add_to(self, metrics: Metrics) -> None:
        """Have it told."""
        metrics.add(CREATED, lambda: self._created)
        metrics.add(FINISHED, lambda: self._finished)
        metrics.add(QUEUE_WAIT, lambda: self._queue_wait)
        metrics.add(TURN_WAIT, lambda: self._turn_wait)
        metrics.add(RUN_TIME, lambda: self._run_time)
        metrics.add(END_TO_END, lambda: self._end_to_end)
        metrics.add(REJECTED, lambda: self._rejected)
        metrics.add(REPLAYED, lambda: {(): self._replayed})
        metrics.add(LEASES_EXPIRED, lambda: self._expired)
        metrics.add(FIRES, lambda: self._fires)
        metrics.add(FIRE_LAG, lambda: self._fire_lag)

    def note(self, batch: Batch) -> None:
        """Count what a batch did that is committed."""
        created, finished = self._created, self._finished
        for event in batch.tasks.events:
            event_type = event.type
            if event_type is EventType.CREATED:
                created[self._kind(event.kind, batch),] += 1
            elif (outcome := _OUTCOMES.get(event_type)) is not None:
                finished[self._kind(event.kind, batch), outcome] += 1
        for type_, count in batch.rejected.items():
            self._rejected[type_,] += count
        for then, count in batch.silences.items():
            self._expired[then.value,] += count
        self._replayed += batch.replayed
        if batch.turns.given_in is not None:
            for before, after in batch.tasks.changed:
                if before.hold == Hold.TURN and after.queued_at is not None:
                    self._turn_wait[after.queue,].observe(_seconds(before.updated_at, after.queued_at))
        self._note_times(batch)
        self._note_fires(batch)

    def _note_fires(self, batch: Batch) -> None:
        for fire in batch.schedules.fires:
            self._fires[fire.outcome.value,] += 1
            if fire.origin is FireOrigin.TIME:
                self._fire_lag[()].observe(_seconds(fire.fire_at, fire.decided_at))
        if batch.schedules.missed:
            self._fires[MISSED,] += batch.schedules.missed

    def _note_times(self, batch: Batch) -> None:
        for attempt in batch.tasks.attempts:
            started_at = attempt.started_at
            if started_at is None:
                continue
            state = batch.tasks.states[attempt.task_id]
            before = batch.tasks.loaded.get(attempt.task_id)
            is_new = before is None or before.status is not TaskStatus.IN_PROGRESS or before.attempt != attempt.attempt
            if is_new:
                self._queue_wait[state.queue,].observe(_seconds(attempt.queued_at, started_at))
            if attempt.finished_at is not None and attempt.outcome is not None:
                labels = self._kind(state.kind, batch), attempt.outcome.value
                self._run_time[labels].observe(_seconds(started_at, attempt.finished_at))
            if attempt.run == 1 and state.run == 1 and not state.is_run_active and state.finished_at is not None:
                self._end_to_end[self._kind(state.kind, batch),].observe(_seconds(state.created_at, state.finished_at))

    def _kind(self, kind: str, batch: Batch) -> str:
        known = self._kinds.get(kind)
        if known is not None:
            return known
        if len(self._kinds) < MAX_LABELLED_KINDS and _is_served(kind, batch.services):
            self._kinds[kind] = kind
            return kind
        return OTHER_KINDS


def _is_served(kind: str, services: Sequence[ServedWork]) -> bool:
    return any(kind in service.kinds for service in services)


def _seconds(since: datetime, until: datetime) -> float:
    # By the clocks of two machines, now and then.
    return max(0.0, (until - since).total_seconds())


def oldest_age(oldest_at: datetime | None, now: datetime) -> float:
    """How old the oldest of something is, in seconds; 0: there is none."""
    return 0.0 if oldest_at is None else _seconds(oldest_at, now)
