"""Where the task store's parts meet."""

import asyncio
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from taskmill.contracts.limits import MAX_RUNNING_REPLAYS
from taskmill.contracts.permissions import TASK_STORE
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.streams import (
    REPORTS_STREAM,
    WORK_STREAM,
    StreamSpec,
    events_stream,
    reports_consumer,
    reports_stream,
    set_aside_stream,
    work_stream,
)
from taskmill.runtime.actor import Actor
from taskmill.runtime.clock import utc_now
from taskmill.runtime.discovery import Discovery
from taskmill.runtime.errors import RestartError
from taskmill.runtime.health import supervise
from taskmill.runtime.leadership import Leadership
from taskmill.runtime.mailbox import BatchingMailbox
from taskmill.runtime.metrics_server import metrics_actors
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.process_metrics import REDELIVERED, REQUEST_SECONDS, SET_ASIDE, ProcessMetrics, request_seconds
from taskmill.runtime.publisher import Publisher
from taskmill.runtime.requests import RequestClient, RequestServer
from taskmill.runtime.supervisor import Supervisor
from taskmill.task_store.actors.activity import Activity
from taskmill.task_store.actors.bulk_operations import BulkOperations
from taskmill.task_store.actors.commands import QUEUE_GROUP, commands
from taskmill.task_store.actors.commit_duty import CommitBell
from taskmill.task_store.actors.connections import Connections
from taskmill.task_store.actors.dependencies import Dependencies, DependencyBell
from taskmill.task_store.actors.due_tasks import Alarm, DueTasks
from taskmill.task_store.actors.expiry import Expiry
from taskmill.task_store.actors.gauges import Gauges
from taskmill.task_store.actors.log_continuity import LogContinuity
from taskmill.task_store.actors.log_months import LogMonths
from taskmill.task_store.actors.queue_counts import QueueCounts
from taskmill.task_store.actors.queue_pauses import QueuePauses
from taskmill.task_store.actors.queue_rates import QueueRates
from taskmill.task_store.actors.reconciler import Reconciler
from taskmill.task_store.actors.registrations import Registrations
from taskmill.task_store.actors.relay import Relay
from taskmill.task_store.actors.replays import Replays
from taskmill.task_store.actors.report_intake import ReportIntake
from taskmill.task_store.actors.retention import Retention
from taskmill.task_store.actors.schedule_fires import ScheduleFires
from taskmill.task_store.actors.streams import Streams
from taskmill.task_store.actors.turns import Turns
from taskmill.task_store.actors.webhook_deliveries import WebhookDeliveries
from taskmill.task_store.adapters.activity_rows import ActivityRows
from taskmill.task_store.adapters.api_key_rows import ApiKeyRows
from taskmill.task_store.adapters.bulk_operation_rows import BulkOperationRows
from taskmill.task_store.adapters.database import DedicatedConnection, SharedConnections, shared_connections
from taskmill.task_store.adapters.dependency_rows import DependencyRows
from taskmill.task_store.adapters.ended_tasks import EndedTaskRows
from taskmill.task_store.adapters.event_stream import EventStream
from taskmill.task_store.adapters.expired_rows import ExpiredRows
from taskmill.task_store.adapters.gauge_rows import GaugeRows
from taskmill.task_store.adapters.group_rows import GroupRows
from taskmill.task_store.adapters.log_epochs import LogEpochs
from taskmill.task_store.adapters.log_partitions import LogPartitions
from taskmill.task_store.adapters.log_reader import LogReader
from taskmill.task_store.adapters.processor_drains import ProcessorDrains
from taskmill.task_store.adapters.processor_rows import ProcessorRows
from taskmill.task_store.adapters.queue_rows import QueueRows
from taskmill.task_store.adapters.relay_log import RelayLog
from taskmill.task_store.adapters.schedule_rows import ScheduleRows
from taskmill.task_store.adapters.schema import wait_for_schema
from taskmill.task_store.adapters.stalled_tasks import StalledTasks
from taskmill.task_store.adapters.store_memory import StoreMemory
from taskmill.task_store.adapters.task_lists import (
    BULK_TIMEOUT_SECONDS,
    LIST_TIMEOUT_SECONDS,
    TaskLists,
    list_engine,
)
from taskmill.task_store.adapters.task_reader import TaskReader
from taskmill.task_store.adapters.task_writer import TaskWriter
from taskmill.task_store.adapters.turn_log import TurnLog
from taskmill.task_store.adapters.turn_rows import TurnRows
from taskmill.task_store.adapters.webhook_rows import WebhookRows
from taskmill.task_store.adapters.work_consumers import WorkConsumers
from taskmill.task_store.adapters.work_pauses import WorkPauses
from taskmill.task_store.adapters.work_stream import WorkStream
from taskmill.task_store.domain.activity import Tally
from taskmill.task_store.domain.batch import Batch
from taskmill.task_store.domain.fleet import FinishedRates
from taskmill.task_store.domain.log_epoch import LogEpoch
from taskmill.task_store.domain.operations import Answer, Operation
from taskmill.task_store.domain.publication import UnpublishedEvent
from taskmill.task_store.domain.retention import KeptFor
from taskmill.task_store.domain.runs import RunRules
from taskmill.task_store.domain.waiting import ServedWork
from taskmill.task_store.metrics import LEADS, TURN_LANES, BatchCounts
from taskmill.task_store.migrations import needed_revision
from taskmill.task_store.migrations.database import STORE_SESSION
from taskmill.task_store.settings import TaskStoreSettings
from taskmill.task_store.use_cases import Ports

RELAY_LEASE_SECONDS = 5
WRITES_CAPACITY = 10_000
MAX_OPERATIONS_IN_A_BATCH = 256
WRITE_DEADLINE_SECONDS = 3.0
MAX_READ_CONNECTIONS = 4
COUNT_TIMEOUT_SECONDS = 60


class _Database(NamedTuple):
    """Every connection to PostgreSQL. What must not wait for anything else has one of its own."""

    shared: SharedConnections
    memory: SharedConnections
    """One: what all writes wait for must not wait for what clients read."""
    creator: DedicatedConnection
    writer: DedicatedConnection
    relay: DedicatedConnection
    lease: DedicatedConnection
    expiry: DedicatedConnection
    partitions: DedicatedConnection
    webhooks: DedicatedConnection
    epochs: DedicatedConnection
    turns: DedicatedConnection
    lists: AsyncEngine
    bulk_lists: AsyncEngine
    counts: SharedConnections

    def connections(self) -> Connections:
        """The actor that closes them."""
        own = (
            self.creator,
            self.writer,
            self.relay,
            self.lease,
            self.expiry,
            self.partitions,
            self.webhooks,
            self.epochs,
            self.turns,
        )
        return Connections(
            [
                self.shared.close,
                self.memory.close,
                self.counts.close,
                self.lists.dispose,
                self.bulk_lists.dispose,
                *(connection.close for connection in own),
            ]
        )


async def build(settings: TaskStoreSettings) -> Supervisor:
    """Put a task store together. Nothing but the schema's revision is read, and nothing served, before it runs.

    Raises:
        StartError: PostgreSQL cannot be reached, or its schema is too old.
    """
    database = await _database(settings.database_url.get_secret_value(), instance_id := uuid.uuid4().hex)
    session = NatsSession(settings, client_name="task-store", inbox_prefix=TASK_STORE.inbox_prefix)
    # By it other stores see whether the one that leads is there.
    owner = database.lease.session_name
    relay_log = RelayLog(database.relay, database.lease)
    leadership = _leadership(relay_log, database.lease)
    queue_rows = QueueRows(database.shared, max_queues=settings.max_queues)
    consumers = WorkConsumers(session, ack_wait_seconds=settings.work_ack_wait_seconds, is_paused=queue_rows.is_paused)
    # Each for one stream, whose speed they remember.
    of_work, of_events = (Publisher(session, timeout_seconds=settings.request_timeout_seconds) for _ in range(2))
    work, event_stream = WorkStream(session, of_work, consumers), EventStream(session, of_events, utc_now)
    alarm = Alarm(utc_now)
    bulk_alarm, schedule_alarm = asyncio.Event(), asyncio.Event()
    commit_bell, dependency_bell, replay_alarm = CommitBell(), DependencyBell(), asyncio.Event()

    def on_commit(events: Sequence[UnpublishedEvent]) -> None:
        relay.wake(events)
        commit_bell.ring()
        dependency_bell.ring()

    counts, tally, memory = BatchCounts(), Tally(), StoreMemory(database.memory, utc_now)
    # Neither waits for the other's commit.
    creator, writer = (
        TaskWriter(
            connection,
            memory,
            rules=_run_rules(settings),
            max_queues=settings.max_queues,
            max_queued_tasks=settings.max_queued_tasks,
            max_schedules=settings.max_schedules,
            now=utc_now,
            random=random.random,
            note=_notes(tally, dependency_bell, None if settings.metrics_port is None else counts),
            on_commit=on_commit,
            on_scheduled=alarm.set,
            on_bulk_operation=bulk_alarm.set,
            on_schedule=schedule_alarm.set,
        )
        for connection in (database.creator, database.writer)
    )
    creations, writes = _mailbox("creations", creator), _mailbox("writes", writer)
    turns = Turns(TurnLog(database.turns), writes, leadership, owner=owner, now=utc_now)
    relay = Relay(
        session,
        log=relay_log,
        leadership=leadership,
        owner=owner,
        events=event_stream,
        work=work,
        kept_for=timedelta(seconds=settings.events_max_age_seconds),
        now=utc_now,
        listener=turns,
    )
    reader, log_reader = TaskReader(database.shared), LogReader(database.shared)
    bulk_rows, dependency_rows = BulkOperationRows(database.shared), DependencyRows(database.shared)
    schedule_rows = ScheduleRows(database.shared)
    webhook_rows = WebhookRows(
        database.shared, database.webhooks, max_webhooks=settings.max_webhooks, max_replays=MAX_RUNNING_REPLAYS
    )
    pauses, rates = WorkPauses(session, queue_rows, consumers), FinishedRates()
    processors = ProcessorRows(database.shared)
    registrations = Registrations(
        processors,
        consumers,
        queue_rows,
        writes,
        knows_queue=memory.knows_queue,
        on_noted=_on_noted(memory, turns),
        now=utc_now,
    )
    stalled = StalledTasks(database.shared)
    reconciler = Reconciler(
        session,
        leadership=leadership,
        stalled=stalled,
        work=work,
        writes=writes,
        now=utc_now,
        interval_seconds=settings.reconcile_interval_seconds,
    )

    def on_epoch(epoch: LogEpoch) -> None:
        for each in (creator, writer, stalled):
            each.begin_epoch(epoch)

    def restart(reason: str) -> None:
        supervisor.fail(RestartError(reason))

    continuity = LogContinuity(
        LogEpochs(database.epochs),
        event_stream,
        newest_written=lambda: max(creator.newest_position, writer.newest_position),
        on_epoch=on_epoch,
        on_changed=restart,
    )
    # Before anything is written; the last, for a store that has nothing to write.
    database.creator.on_connect = database.writer.on_connect = database.lease.on_connect = continuity.check
    streams = Streams(
        session,
        streams=_stream_specs(settings),
        consumers=[reports_consumer()],
        on_replaced=lambda stream: consumers.forget() if stream == WORK_STREAM else None,
        renew_consumers=consumers.renew,
        epoch=lambda: continuity.epoch.begin,
        on_later_epoch=restart,
    )
    ports = Ports(
        creations=creations,
        writes=writes,
        reads=reader,
        lists=TaskLists(database.lists),
        log=log_reader,
        processors=processors,
        queues=queue_rows,
        service=memory,
        pauses=pauses,
        drains=ProcessorDrains(RequestClient(session, timeout_seconds=settings.request_timeout_seconds)),
        rates=rates,
        bulk_operations=bulk_rows,
        webhooks=webhook_rows,
        turns=TurnRows(database.shared),
        schedules=schedule_rows,
        api_keys=ApiKeyRows(database.shared, max_keys=settings.max_api_keys),
        activity=ActivityRows(database.shared),
        groups=GroupRows(database.shared),
        predecessors=dependency_rows,
        now=utc_now,
        on_webhook=commit_bell.woken.set,
        on_replay=replay_alarm.set,
        on_turn_settings=_on_turn_settings(memory, turns),
    )
    intake = ReportIntake(session, writes, greet=registrations.greet)
    requests = commands(session, ports, deadline_seconds=settings.request_timeout_seconds)
    metrics = _metrics(session, counts, intake, requests, leadership, turns)
    actors: list[Actor] = [
        database.connections(),
        session,
        continuity,
        streams,
        leadership,
        Expiry(
            ExpiredRows(database.expiry),
            leadership,
            kept_for=timedelta(seconds=settings.idempotency_ttl_seconds),
            groups_kept_for=timedelta(seconds=settings.retention_groups_seconds),
            fires_kept_for=timedelta(seconds=settings.schedule_fires_kept_seconds),
            queues_kept_for=timedelta(seconds=settings.queue_idle_seconds),
            now=utc_now,
        ),
        LogMonths(LogPartitions(database.partitions), leadership, kept_for=_events_kept_for(settings), now=utc_now),
        # Drained after the mailboxes, to publish what is committed last.
        relay,
        creations,
        writes,
        turns,
        DueTasks(reader, writes, alarm=alarm, now=utc_now),
        reconciler,
        Retention(EndedTaskRows(database.shared), writes, leadership, kept_for=_tasks_kept_for(settings), now=utc_now),
        BulkOperations(bulk_rows, TaskLists(database.bulk_lists), writes, leadership, begun=bulk_alarm),
        ScheduleFires(schedule_rows, writes, leadership, changed=schedule_alarm, now=utc_now),
        Dependencies(session, dependency_rows, writes, leadership, bell=dependency_bell),
        WebhookDeliveries(session, webhook_rows, log_reader, writes, leadership, bell=commit_bell),
        Replays(session, webhook_rows, log_reader, writes, leadership, begun=replay_alarm),
        QueuePauses(queue_rows, pauses, leadership),
        QueueCounts(QueueRows(database.counts, max_queues=settings.max_queues), leadership),
        QueueRates(queue_rows, rates, now=utc_now),
        Activity(ActivityRows(database.shared), tally, now=utc_now),
        registrations,
        intake,
        requests,
        Discovery(
            session,
            "taskmill-task-store",
            "Owns the tasks.",
            instance_id=instance_id,
            endpoints=requests.stats,
            group=QUEUE_GROUP,
        ),
    ]
    if settings.metrics_port is not None:
        gauges = Gauges(session, queue_rows, GaugeRows(database.shared), processors, metrics, now=utc_now)
        actors += [gauges, *metrics_actors(metrics, settings)]
    supervisor = supervise(actors, session, settings)
    return supervisor


def _leadership(relay_log: RelayLog, session: DedicatedConnection) -> Leadership:
    leadership = Leadership("leadership", relay_log, session.session_name, ttl_seconds=RELAY_LEASE_SECONDS)
    session.on_end = leadership.doubt
    return leadership


def _notes(tally: Tally, bell: DependencyBell, counts: BatchCounts | None) -> Callable[[Batch], None]:
    """What is told of each batch that is committed. `counts` None: nobody asks for metrics."""
    takers = (tally.note, bell.note) if counts is None else (tally.note, bell.note, counts.note)

    def note(batch: Batch) -> None:
        for take in takers:
            take(batch)

    return note


def _on_noted(memory: StoreMemory, turns: Turns) -> Callable[[ServedWork], None]:
    def note(served: ServedWork) -> None:
        memory.note_service(served)
        turns.look_again()

    return note


def _on_turn_settings(memory: StoreMemory, turns: Turns) -> Callable[[], None]:
    def doubt() -> None:
        memory.doubt()
        turns.look_again()

    return doubt


def _metrics(
    session: NatsSession,
    counts: BatchCounts,
    intake: ReportIntake,
    requests: RequestServer,
    leadership: Leadership,
    turns: Turns,
) -> ProcessMetrics:
    metrics = ProcessMetrics(session)
    counts.add_to(metrics)
    metrics.add(REQUEST_SECONDS, lambda: request_seconds(requests.stats))
    metrics.add(REDELIVERED, lambda: {(REPORTS_STREAM,): intake.redelivered})
    metrics.add(SET_ASIDE, lambda: {(REPORTS_STREAM,): intake.set_aside})
    metrics.add(LEADS, lambda: {(): leadership.is_leader})
    metrics.add(TURN_LANES, lambda: {(): turns.lane_count})
    return metrics


async def _database(url: str, instance_id: str) -> _Database:
    needed = needed_revision()
    await wait_for_schema(url, needed)
    return _Database(
        shared=await shared_connections(url, "reader", max_connections=MAX_READ_CONNECTIONS),
        memory=await shared_connections(url, "memory", max_connections=1),
        creator=DedicatedConnection(url, "creator", is_planned_once=True),
        writer=DedicatedConnection(url, "writer", is_planned_once=True),
        # To forget how far the relay was, who led, or what has expired costs nothing: it is done again.
        relay=DedicatedConnection(url, "relay", is_commit_awaited=False),
        # By its name a migration knows which stores are there, and a store whether that which leads is.
        lease=DedicatedConnection(url, f"{STORE_SESSION} {needed} {instance_id}", is_commit_awaited=False),
        expiry=DedicatedConnection(url, "expiry", is_commit_awaited=False),
        partitions=DedicatedConnection(url, "partitions"),
        webhooks=DedicatedConnection(url, "webhooks", is_commit_awaited=False),
        epochs=DedicatedConnection(url, "epochs"),
        turns=DedicatedConnection(url, "turns"),
        lists=list_engine(url, "lists", timeout_seconds=LIST_TIMEOUT_SECONDS),
        bulk_lists=list_engine(url, "bulk operations", timeout_seconds=BULK_TIMEOUT_SECONDS),
        counts=await shared_connections(url, "counts", max_connections=1, timeout_seconds=COUNT_TIMEOUT_SECONDS),
    )


def _mailbox(name: str, writer: TaskWriter) -> BatchingMailbox[Operation, Answer]:
    return BatchingMailbox(
        name,
        writer.apply,
        capacity=WRITES_CAPACITY,
        max_batch=MAX_OPERATIONS_IN_A_BATCH,
        deadline_seconds=WRITE_DEADLINE_SECONDS,
    )


def _run_rules(settings: TaskStoreSettings) -> RunRules:
    return RunRules(
        lease=timedelta(seconds=settings.lease_seconds),
        unknown_kind_backoff=timedelta(seconds=settings.unknown_kind_backoff_seconds),
        max_unknown_kind_backoff=timedelta(seconds=settings.unknown_kind_max_backoff_seconds),
    )


def _tasks_kept_for(settings: TaskStoreSettings) -> KeptFor:
    seconds = {
        TaskStatus.COMPLETED: settings.retention_completed_seconds,
        TaskStatus.FAILED: settings.retention_failed_seconds,
        TaskStatus.CANCELLED: settings.retention_cancelled_seconds,
    }
    return {status: timedelta(seconds=kept) for status, kept in seconds.items() if kept is not None}


def _events_kept_for(settings: TaskStoreSettings) -> timedelta | None:
    seconds = settings.retention_events_seconds
    return None if seconds is None else timedelta(seconds=seconds)


def _stream_specs(settings: TaskStoreSettings) -> list[StreamSpec]:
    specs = (
        work_stream(),
        reports_stream(settings.reports_max_bytes),
        events_stream(settings.events_max_bytes, settings.events_max_age_seconds),
        set_aside_stream(),
    )
    return [replace(spec, replicas=settings.nats_replicas) for spec in specs]
