"""What a processor counts."""

from taskmill.contracts.streams import WORK_STREAM
from taskmill.processor.actors.reports import Reports
from taskmill.processor.actors.work_intake import WorkIntake
from taskmill.processor.domain.held_work import HeldWork
from taskmill.runtime.metrics import Metric
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.process_metrics import REDELIVERED, SET_ASIDE, ProcessMetrics

SLOTS = Metric("taskmill_processor_slots", "gauge", "How many handlers this processor runs at once.")
RUNNING = Metric("taskmill_processor_running", "gauge", "How many handlers run.")
UNSENT = Metric("taskmill_processor_unsent_reports", "gauge", "Reports that JetStream has not stored yet.")


def processor_metrics(
    session: NatsSession, intake: WorkIntake, reports: Reports, held: HeldWork, *, slots: int
) -> ProcessMetrics:
    """All that a processor tells."""
    metrics = ProcessMetrics(session)
    metrics.add(REDELIVERED, lambda: {(WORK_STREAM,): intake.redelivered})
    metrics.add(SET_ASIDE, lambda: {(WORK_STREAM,): intake.set_aside})
    metrics.add(SLOTS, lambda: {(): slots})
    metrics.add(RUNNING, lambda: {(): held.running_count})
    metrics.add(UNSENT, lambda: {(): reports.unsent_count})
    return metrics
