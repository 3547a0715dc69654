"""Where a processor's parts meet."""

import logging
import uuid
from collections.abc import Sequence
from importlib.metadata import version

import structlog

from taskmill.contracts.limits import MAX_KINDS_PER_PROCESSOR, MAX_QUEUES_PER_PROCESSOR
from taskmill.contracts.permissions import PROCESSOR
from taskmill.contracts.reports import Hello
from taskmill.contracts.streams import HEARTBEATS_PER_ACK_WAIT
from taskmill.contracts.tasks import DEFAULT_QUEUE
from taskmill.contracts.webhooks import WEBHOOKS_QUEUE
from taskmill.processor.actors.cancellations import Cancellations
from taskmill.processor.actors.drain_requests import DrainRequests
from taskmill.processor.actors.execution import Execution
from taskmill.processor.actors.heartbeats import Heartbeats
from taskmill.processor.actors.lifespans import Lifespans
from taskmill.processor.actors.queue_pauses import QueuePauses
from taskmill.processor.actors.reports import Reports
from taskmill.processor.actors.work_intake import WorkIntake
from taskmill.processor.adapters.checkpoints import Checkpoints
from taskmill.processor.adapters.guarded_http import GuardedHttp, is_public_address
from taskmill.processor.adapters.outside import Outside
from taskmill.processor.adapters.store import Store
from taskmill.processor.domain.held_work import HeldWork
from taskmill.processor.domain.payload_schemas import told_schemas
from taskmill.processor.handlers import builtin_app
from taskmill.processor.metrics import processor_metrics
from taskmill.processor.settings import ProcessorSettings
from taskmill.runtime.clock import utc_now
from taskmill.runtime.discovery import Discovery
from taskmill.runtime.errors import SettingsError, StartError
from taskmill.runtime.health import supervise
from taskmill.runtime.metrics_server import metrics_actors
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.publisher import Publisher
from taskmill.runtime.requests import RequestClient
from taskmill.runtime.supervisor import Supervisor
from taskmill.sdk import Handler, TaskApp
from taskmill.sdk.app import merge_handlers
from taskmill.sdk.calling.attempt import CANCEL_SECONDS
from taskmill.sdk.errors import SdkError
from taskmill.sdk.loading import load_app

_log = structlog.get_logger(__name__)

DRAIN_MARGIN_SECONDS = 3
"""What the drain may take beyond the grace of the handlers."""


async def build(settings: ProcessorSettings) -> Supervisor:
    """Put a processor together from its settings.

    Raises:
        SettingsError: An app cannot be found, or two have the same kind.
    """
    # httpx logs each URL, and a URL may hold a secret.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        apps = [load_app(location) for location in settings.apps]
        return build_processor(settings, apps)
    except SdkError as error:
        raise SettingsError(str(error)) from error


def build_processor(settings: ProcessorSettings, apps: Sequence[TaskApp] = ()) -> Supervisor:
    """Put a processor together from its settings and apps. To be called inside an event loop.

    Args:
        settings: What it serves, and how.
        apps: Handlers beside the built-in kinds.

    Raises:
        DuplicateKindError: Two apps, or an app and the built-in kinds, have a handler for the same kind.
    """
    http = GuardedHttp(None if settings.http_allow_private else is_public_address)
    held = HeldWork()
    session = NatsSession(
        settings, client_name=f"processor-{settings.processor_id}", inbox_prefix=PROCESSOR.inbox_prefix
    )
    store = Store(RequestClient(session, timeout_seconds=settings.request_timeout_seconds))
    handlers = merge_handlers([builtin_app(Outside(http, store, settings.slots)), *apps])
    queues = settings.queues or _queues_of(handlers)
    discovery = Discovery(
        session,
        "taskmill-processor",
        "Executes handlers.",
        instance_id=settings.processor_id,
        metadata={"queues": ",".join(queues)},
    )
    heartbeats = Heartbeats(
        settings,
        held,
        processor_id=settings.processor_id,
        interval_seconds=settings.work_ack_wait_seconds / HEARTBEATS_PER_ACK_WAIT,
    )
    reports = Reports(
        session,
        Publisher(session, timeout_seconds=settings.request_timeout_seconds),
        held,
        _hello(settings, queues, handlers),
        processor_id=settings.processor_id,
        boot_id=uuid.uuid4().hex,
    )
    execution = Execution(
        handlers,
        reports,
        held,
        slots=settings.slots,
        grace_seconds=settings.grace_seconds,
        probation_seconds=settings.probation_seconds,
        renew_checkpoint=Checkpoints(store).renew,
    )
    cancellations = Cancellations(session, execution)
    pauses = QueuePauses(session, execution)
    drain_requests = DrainRequests(session, settings.processor_id, lambda: supervisor.stop())  # noqa: PLW0108 (it is made below)
    intake = WorkIntake(session, execution, reports, held, queues)
    metrics = processor_metrics(session, intake, reports, held, slots=settings.slots)
    supervisor = supervise(
        [
            *(session, discovery, Lifespans(apps), heartbeats, reports),
            *(cancellations, pauses, drain_requests, execution, intake),
            *metrics_actors(metrics, settings),
        ],
        session,
        settings,
        drain_timeout_seconds=settings.grace_seconds + CANCEL_SECONDS + DRAIN_MARGIN_SECONDS,
    )
    return supervisor


def _queues_of(handlers: dict[str, Handler]) -> list[str]:
    """Where tasks wait that a processor can execute, when nobody said which queues it serves."""
    declared = [handler.defaults.queue for handler in handlers.values() if handler.defaults.queue is not None]
    queues = list(dict.fromkeys([DEFAULT_QUEUE, WEBHOOKS_QUEUE, *declared]))
    if len(queues) > MAX_QUEUES_PER_PROCESSOR:
        raise StartError(f"A processor serves at most {MAX_QUEUES_PER_PROCESSOR} queues: say which (TASKMILL_QUEUES).")
    return queues


def _hello(settings: ProcessorSettings, queues: list[str], handlers: dict[str, Handler]) -> Hello:
    if len(handlers) > MAX_KINDS_PER_PROCESSOR:
        raise StartError(f"A processor has handlers for at most {MAX_KINDS_PER_PROCESSOR} kinds.")
    declared = {kind: schema for kind, handler in handlers.items() if (schema := handler.payload_schema()) is not None}
    schemas = told_schemas(declared)
    for kind, reason in schemas.left_out.items():
        _log.warning("hello.schema_left_out", kind=kind, reason=reason)
    return Hello(
        queues=queues,
        kinds=sorted(handlers),
        # Also of those that declare nothing, so that what a kind has ceased to declare ceases to hold.
        kind_defaults={kind: handler.defaults for kind, handler in sorted(handlers.items())},
        payload_schemas=schemas.by_kind or None,
        payload_schemas_digest=schemas.digest,
        slots=settings.slots,
        started_at=utc_now(),
        software_version=version("taskmill-processor"),
    )
