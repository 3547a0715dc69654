"""What holds for every actor, whatever it does: how it ends, and that it serves again after a crash."""

import asyncio
import inspect
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic import SecretStr

import taskmill
from taskmill.cli.embedded.ports import free_port
from taskmill.contracts.permissions import GATEWAY, PROCESSOR, TASK_STORE
from taskmill.gateway.actors.event_feed import EventFeed
from taskmill.gateway.actors.http_server import HttpServer
from taskmill.gateway.actors.key_watch import KeyWatch
from taskmill.gateway.actors.kind_watch import KindWatch
from taskmill.gateway.bootstrap import build as build_gateway
from taskmill.gateway.settings import GatewaySettings
from taskmill.processor.actors.cancellations import Cancellations
from taskmill.processor.actors.drain_requests import DrainRequests
from taskmill.processor.actors.execution import Execution
from taskmill.processor.actors.heartbeats import Heartbeats
from taskmill.processor.actors.lifespans import Lifespans
from taskmill.processor.actors.queue_pauses import QueuePauses as ProcessorQueuePauses
from taskmill.processor.actors.reports import Reports
from taskmill.processor.actors.work_intake import WorkIntake
from taskmill.processor.bootstrap import build as build_processor
from taskmill.processor.settings import ProcessorSettings
from taskmill.runtime.actor import Actor
from taskmill.runtime.discovery import Discovery
from taskmill.runtime.health import HealthFile
from taskmill.runtime.leadership import Leadership
from taskmill.runtime.loop_watch import LoopWatch
from taskmill.runtime.mailbox import BatchingMailbox
from taskmill.runtime.metrics_server import MetricsServer
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.pull import PullConsumer
from taskmill.runtime.requests import RequestServer
from taskmill.runtime.settings import NatsSettings
from taskmill.runtime.supervisor import Supervisor
from taskmill.task_store.actors.activity import Activity
from taskmill.task_store.actors.bulk_operations import BulkOperations
from taskmill.task_store.actors.connections import Connections
from taskmill.task_store.actors.dependencies import Dependencies
from taskmill.task_store.actors.due_tasks import DueTasks
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
from taskmill.task_store.bootstrap import build as build_task_store
from taskmill.task_store.settings import TaskStoreSettings
from tests.support.actors import running
from tests.support.nats_keys import seed_of
from tests.support.task_store import running_store

DEADLINE_SECONDS = 5


class Place(NamedTuple):
    """What an actor may need."""

    database_url: str
    nats_url: str
    health_file: Path


@pytest.fixture
def place(database_url: str, nats_url: str, tmp_path: Path) -> Place:
    """Servers that only this test uses, and a file."""
    return Place(database_url, nats_url, tmp_path / "health")


async def gateway(place: Place) -> Sequence[Actor]:
    """The actors of a gateway, in the order in which they start."""
    return actors_of(
        await build_gateway(GatewaySettings(nats_url=place.nats_url, nats_nkey_seed=seed_of(GATEWAY), port=free_port()))
    )


async def processor(place: Place) -> Sequence[Actor]:
    """The actors of a processor, those that tell metrics among them."""
    return actors_of(
        await build_processor(
            ProcessorSettings(nats_url=place.nats_url, nats_nkey_seed=seed_of(PROCESSOR), metrics_port=free_port())
        )
    )


async def task_store(place: Place) -> Sequence[Actor]:
    """The actors of a task store, the health file and those that tell metrics among them."""
    url = SecretStr(place.database_url)
    settings = TaskStoreSettings(
        database_url=url,
        nats_url=place.nats_url,
        nats_nkey_seed=seed_of(TASK_STORE),
        health_file=place.health_file,
        metrics_port=free_port(),
    )
    return actors_of(await build_task_store(settings))


async def pull_consumer(place: Place) -> Sequence[Actor]:
    """The part of other actors that is an actor itself, and its connection."""
    session = NatsSession(NatsSettings(nats_url=place.nats_url), client_name="test")
    return [session, PullConsumer(session, stream="S", consumer="c", deliver=lambda _: None)]


def actors_of(supervisor: Supervisor) -> Sequence[Actor]:
    """What a service is made of."""
    return [charge.actor for charge in supervisor._charges]


FACTORIES: dict[type[Actor], Callable[[Place], Awaitable[Sequence[Actor]]]] = {
    Activity: task_store,
    BatchingMailbox: task_store,
    BulkOperations: task_store,
    Cancellations: processor,
    Connections: task_store,
    Dependencies: task_store,
    DrainRequests: processor,
    Discovery: task_store,
    DueTasks: task_store,
    EventFeed: gateway,
    Execution: processor,
    Expiry: task_store,
    Gauges: task_store,
    HealthFile: task_store,
    Heartbeats: processor,
    HttpServer: gateway,
    KeyWatch: gateway,
    KindWatch: gateway,
    Leadership: task_store,
    Lifespans: processor,
    LogContinuity: task_store,
    LogMonths: task_store,
    LoopWatch: gateway,
    MetricsServer: processor,
    NatsSession: processor,
    ProcessorQueuePauses: processor,
    PullConsumer: pull_consumer,
    QueueCounts: task_store,
    QueuePauses: task_store,
    QueueRates: task_store,
    Reconciler: task_store,
    Registrations: task_store,
    Relay: task_store,
    Replays: task_store,
    ReportIntake: task_store,
    Reports: processor,
    RequestServer: task_store,
    Retention: task_store,
    ScheduleFires: task_store,
    Streams: task_store,
    Turns: task_store,
    WebhookDeliveries: task_store,
    WorkIntake: processor,
}
"""Makes an actor of each class, and before it those that it may rely on."""


def actor_classes() -> list[type[Actor]]:
    """Every class of an actor that can be made, in everything that is installed of Taskmill."""
    for module in pkgutil.walk_packages(taskmill.__path__, "taskmill."):
        # A migration runs when it is imported.
        if "migrations." not in module.name:
            import_module(module.name)
    classes = Actor.__subclasses__()
    for actor_class in classes:
        classes += actor_class.__subclasses__()
    return sorted(
        {found for found in classes if found.__module__.startswith("taskmill.") and not inspect.isabstract(found)},
        key=lambda found: found.__name__,
    )


every_actor = pytest.mark.parametrize("actor_class", actor_classes(), ids=lambda found: found.__name__)


@asynccontextmanager
async def new_actor(actor_class: type[Actor], place: Place) -> AsyncIterator[Actor]:
    """Yield an actor that has not run yet, while those run that it may rely on."""
    if actor_class not in FACTORIES:
        pytest.fail(f"{actor_class.__qualname__} has no factory: add it to FACTORIES")
    factory = FACTORIES[actor_class]
    async with AsyncExitStack() as stack:
        if factory is processor:
            await stack.enter_async_context(running_store(place.database_url, place.nats_url))
        actors = await factory(place)
        for actor in actors:
            # Also those that never run: the gateway's server has a socket from the start.
            stack.callback(actor.stop)
        for actor in actors:
            if type(actor) is actor_class:
                yield actor
                return
            await stack.enter_async_context(running(actor))
    pytest.fail(f"{factory.__name__} makes no {actor_class.__qualname__}")


@every_actor
async def test_an_actor_that_is_stopped_before_it_runs_returns_soon(actor_class: type[Actor], place: Place) -> None:
    """A service that is told to end while it starts ends."""
    async with new_actor(actor_class, place) as actor:
        actor.stop()
        async with asyncio.timeout(DEADLINE_SECONDS):
            await actor.run(lambda: None)


@every_actor
async def test_an_actor_may_be_stopped_twice(actor_class: type[Actor], place: Place) -> None:
    """The second time changes nothing, nor does another one when it has ended."""
    async with new_actor(actor_class, place) as actor:
        async with running(actor, within_seconds=DEADLINE_SECONDS):
            actor.stop()
            actor.stop()
        actor.stop()


@every_actor
async def test_an_actor_serves_again_after_a_crash(actor_class: type[Actor], place: Place) -> None:
    """It may run again on the same object, says when it serves, and drains as if nothing had been."""
    async with new_actor(actor_class, place) as actor:
        started = asyncio.Event()
        first_run = asyncio.create_task(actor.run(started.set))
        async with asyncio.timeout(DEADLINE_SECONDS):
            await started.wait()
        first_run.cancel()
        await asyncio.wait({first_run}, timeout=DEADLINE_SECONDS)
        assert first_run.cancelled()
        async with running(actor, within_seconds=DEADLINE_SECONDS):
            pass
