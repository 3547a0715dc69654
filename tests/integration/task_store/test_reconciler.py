import asyncio
from datetime import UTC, datetime
from uuid import UUID

from taskmill.contracts import subjects
from taskmill.contracts.status import Priority
from taskmill.contracts.streams import REPORTS_STREAM, reports_stream, work_stream
from taskmill.runtime.clock import utc_now
from taskmill.runtime.leadership import Leadership
from taskmill.runtime.provisioning import ensure_stream
from taskmill.runtime.publisher import Publisher
from taskmill.runtime.stream_state import purge_subject
from taskmill.task_store.actors.reconciler import Reconciler
from taskmill.task_store.adapters.stalled_tasks import CancellingTask, Place, StalledTask, StalledTasks
from taskmill.task_store.adapters.work_consumers import WorkConsumers
from taskmill.task_store.adapters.work_stream import WorkStream
from taskmill.task_store.domain.operations import Answer, Operation, Redispatch
from tests.support.actors import running
from tests.support.eventually import eventually
from tests.support.leases import LeaseOf
from tests.support.task_store import StoreClient, store_client

TASK_ID = UUID("01a20000-0000-7000-8000-000000000001")
PLACE = Place(datetime(2026, 11, 24, tzinfo=UTC), TASK_ID)
LOST = StalledTask(PLACE, TASK_ID, 3, "default", Priority.MEDIUM, "echo")


class OneStalledTask(StalledTasks):
    """Finds `LOST` each time that it is asked."""

    def __init__(self) -> None:
        self.looks = 0

    async def queued(self, after: Place, until: datetime, limit: int) -> list[StalledTask]:
        """See `StalledTasks`."""
        self.looks += 1
        return [LOST][: limit * (after < LOST.place < Place(until, TASK_ID))]

    async def silent(self, *_: object) -> list[StalledTask]:
        """See `StalledTasks`."""
        return []

    async def cancelling(self, *_: object) -> list[CancellingTask]:
        """See `StalledTasks`."""
        return []


class KeptWrites:
    """Keeps what is asked for."""

    def __init__(self) -> None:
        self.asked: list[Operation] = []

    async def ask(self, message: Operation) -> Answer:
        """See `Writes`."""
        self.asked.append(message)
        return Answer(())


async def is_paused(_queue: str) -> bool:
    """No queue is."""
    return False


def reconciler(client: StoreClient, leadership: Leadership, stalled: StalledTasks, writes: KeptWrites) -> Reconciler:
    """A reconciler that looks all the time."""
    session = client.session
    publisher = Publisher(session, timeout_seconds=2)
    return Reconciler(
        session,
        leadership=leadership,
        stalled=stalled,
        work=WorkStream(session, publisher, WorkConsumers(session, ack_wait_seconds=1, is_paused=is_paused)),
        writes=writes,
        now=utc_now,
        interval_seconds=0.1,
    )


async def test_nothing_is_lost_while_a_report_waits_unread(nats_url: str) -> None:
    """Of a task without a message the end may have been told: first everything is read that was there."""
    stalled, writes = OneStalledTask(), KeptWrites()
    leadership = Leadership("leadership", LeaseOf("me"), "me")
    async with store_client(nats_url) as client, running(leadership):
        await ensure_stream(client.session, work_stream())
        await ensure_stream(client.session, reports_stream(1_000_000))
        await client.publish_report(b"unread")
        looks_at_reports: list[bytes] = []
        client.session.subscribe(
            f"$JS.API.STREAM.MSG.GET.{REPORTS_STREAM}", lambda subject, *_: looks_at_reports.append(subject)
        )
        await client.session.flush()
        async with running(reconciler(client, leadership, stalled, writes)):
            await eventually(lambda: len(looks_at_reports) >= 3)
            assert writes.asked == []
            # One that comes after the look does not keep it from its judgement.
            await client.publish_report(b"later", "processor-2")
            await purge_subject(client.session, REPORTS_STREAM, subjects.report("processor-1"))
            await eventually(lambda: writes.asked, within_seconds=3)
        assert writes.asked[0] == Redispatch({TASK_ID: 3})


async def test_only_the_leader_looks(nats_url: str) -> None:
    """A store that does not lead leaves the looking to the one that does."""
    stalled, writes = OneStalledTask(), KeptWrites()
    leader, other = (Leadership("leadership", LeaseOf("me"), owner) for owner in ("me", "other"))
    theirs = OneStalledTask()
    async with store_client(nats_url) as client, running(leader), running(other):
        await ensure_stream(client.session, work_stream())
        await ensure_stream(client.session, reports_stream(1_000_000))
        async with (
            running(reconciler(client, other, theirs, KeptWrites())),
            running(reconciler(client, leader, stalled, writes)),
        ):
            await eventually(lambda: stalled.looks >= 3)
    assert theirs.looks == 0


async def test_it_stops_while_it_waits_for_reports(nats_url: str) -> None:
    """A drain is not held up by reports that nobody reads."""
    stalled, writes = OneStalledTask(), KeptWrites()
    leadership = Leadership("leadership", LeaseOf("me"), "me")
    async with store_client(nats_url) as client, running(leadership):
        await ensure_stream(client.session, work_stream())
        await ensure_stream(client.session, reports_stream(1_000_000))
        await client.publish_report(b"unread")
        async with asyncio.timeout(5), running(reconciler(client, leadership, stalled, writes), within_seconds=2):
            await eventually(lambda: stalled.looks > 0)
    assert writes.asked == []
