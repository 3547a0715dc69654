"""A task store's side of the wire, so that a processor can be tested alone."""

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import JsonValue

from taskmill.contracts import streams, subjects
from taskmill.contracts.control import CancelAttempt
from taskmill.contracts.permissions import PROCESSOR
from taskmill.contracts.reports import AttemptReport, Hello, ReportBundle
from taskmill.contracts.status import Priority
from taskmill.contracts.work import WorkItem
from taskmill.processor.bootstrap import build_processor
from taskmill.processor.settings import ProcessorSettings
from taskmill.runtime.jetstream_api import jetstream_request
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.outbound import OutboundMessage
from taskmill.runtime.provisioning import ensure_consumer, ensure_stream
from taskmill.runtime.publisher import Publisher
from taskmill.runtime.pull import DeliveredMessage, PullConsumer
from taskmill.runtime.settings import NatsSettings
from taskmill.runtime.supervisor import Supervisor
from taskmill.sdk import TaskApp
from tests.support.continuous_pull import ContinuousPull
from tests.support.eventually import eventually, holds
from tests.support.nats_keys import seed_of
from tests.support.paths import ROOT
from tests.support.running_service import running_service

ReportT = TypeVar("ReportT", bound=AttemptReport)

REPORTS_MAX_BYTES = 64 * 1024 * 1024
SMALL_REPORTS_MAX_BYTES = 8 * 1024


class StoreSide:
    """Dispatches work items and collects reports, as the task store does.

    Attributes:
        session: A connection of its own.
        reports: Every report of an attempt that was stored, in order.
        hellos: Every hello, in order.
        bundles: The reports of each bundle, in order.
    """

    def __init__(self, nats_url: str) -> None:
        settings = NatsSettings(nats_url=nats_url)
        self.session = NatsSession(settings, client_name="store-side")
        self._publisher = Publisher(self.session, timeout_seconds=2)
        self.reports: list[AttemptReport] = []
        self.hellos: list[Hello] = []
        self.bundles: list[ReportBundle] = []
        self.bundle_sizes: list[int] = []
        self._declined: list[str] = []
        self._collector = ContinuousPull(
            self.session,
            stream=streams.REPORTS_STREAM,
            consumer=streams.REPORTS_CONSUMER,
            deliver=self._collect,
            credit=100,
        )
        self._tasks: list[asyncio.Task[None]] = []

    def collect(self) -> None:
        """Begin to collect reports."""
        self._tasks.append(asyncio.create_task(self._collector.run(_nothing)))

    async def open(self, *, is_provisioned: bool, is_collecting: bool, **provisioning: Any) -> None:
        """Connect and, if wanted, create streams and consumers and collect reports."""
        self._tasks.append(asyncio.create_task(self.session.run(_nothing)))
        await eventually(lambda: self.session.is_connected)
        self.session.subscribe(f"$JS.ACK.{streams.WORK_STREAM}.>", self._note_declined)
        await self.session.flush()
        if is_provisioned:
            await self.provision(**provisioning)
        if is_collecting:
            self.collect()

    async def provision(
        self,
        *,
        queues: Iterable[str] = ("default",),
        ack_wait_seconds: float = 30,
        reports_max_bytes: int = REPORTS_MAX_BYTES,
    ) -> None:
        """Create the streams and the consumers."""
        await ensure_stream(self.session, streams.work_stream())
        await ensure_stream(self.session, streams.reports_stream(reports_max_bytes))
        await ensure_consumer(self.session, streams.reports_consumer())
        for queue in queues:
            for priority in Priority:
                await ensure_consumer(self.session, streams.work_consumer(queue, priority, ack_wait_seconds))

    async def close(self) -> None:
        """Disconnect."""
        self._collector.stop()
        self.session.stop()
        async with asyncio.timeout(5):
            await asyncio.gather(*self._tasks)

    async def dispatch(
        self,
        kind: str,
        payload: JsonValue = None,
        *,
        priority: Priority = Priority.MEDIUM,
        queue: str = "default",
        count: int = 1,
        attempt_limit: int = 1,
        crashes: int = 0,
        timeout_seconds: float | None = None,
        checkpoint: JsonValue = None,
    ) -> list[WorkItem]:
        """Publish work items and return them once they are stored."""
        items = [
            WorkItem(
                task_id=uuid.uuid4(),
                run=1,
                attempt=1,
                dispatch=1,
                attempt_limit=attempt_limit,
                crashes=crashes,
                timeout_seconds=timeout_seconds,
                title="A task",
                kind=kind,
                queue=queue,
                priority=priority,
                payload=payload,
                checkpoint=checkpoint,
            )
            for _ in range(count)
        ]
        await self._publisher.publish_all([work_message(item) for item in items])
        return items

    def cancel(self, item: WorkItem, *, attempt: int = 1) -> None:
        """Tell the processors that a client wants an attempt to be stopped."""
        self.session.publish(subjects.cancel(item.task_id), CancelAttempt(attempt=attempt).model_dump_json().encode())

    async def publish(self, message: OutboundMessage) -> None:
        """Publish a message that need not be what it should."""
        await self._publisher.publish(message)

    def of(self, item: WorkItem, report_type: type[ReportT]) -> list[ReportT]:
        """The reports of one type about one task."""
        return [report for report in self.reports if report.task_id == item.task_id and isinstance(report, report_type)]

    async def report_of(self, item: WorkItem, report_type: type[ReportT], *, within_seconds: float = 10) -> ReportT:
        """Wait for a report of one type about one task, and return the first."""

        def first() -> ReportT:
            found = self.of(item, report_type)
            assert found, f"no {report_type.__name__} among {self.types_of(item)}"
            return found[0]

        return await holds(first, within_seconds=within_seconds)

    def types_of(self, item: WorkItem) -> list[str]:
        """What was reported about one task, in order, without heartbeats."""
        types = [str(getattr(report, "type", "")) for report in self.reports if report.task_id == item.task_id]
        return [report_type for report_type in types if report_type != "heartbeat"]

    async def decline_next(self, priority: Priority = Priority.MEDIUM, *, count: int = 1) -> None:
        """Fetch the next work items and decline them, so that they are delivered once more."""
        fetched: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
        consumer = PullConsumer(
            self.session,
            stream=streams.WORK_STREAM,
            consumer=streams.work_consumer_name("default", priority),
            deliver=fetched.put_nowait,
        )
        running = asyncio.create_task(consumer.run(_nothing))
        await asyncio.sleep(0)
        consumer.pull(count)
        self.session.write_acks([(await fetched.get()).reply for _ in range(count)], b"-NAK")
        consumer.stop()
        await running

    async def purge_work(self, item: WorkItem) -> None:
        """Take a work item out, as the store does when its task has ended otherwise."""
        subject = subjects.work(item.queue, item.priority, item.kind, item.task_id)
        await jetstream_request(self.session, f"STREAM.PURGE.{streams.WORK_STREAM}", {"filter": subject})

    async def purge_reports(self) -> None:
        """Make room in the stream of reports."""
        await jetstream_request(self.session, f"STREAM.PURGE.{streams.REPORTS_STREAM}")

    async def redelivered(self, priority: Priority = Priority.MEDIUM) -> None:
        """Wait until a work item is delivered for the second time, and not acknowledged."""

        async def check_redelivered() -> None:
            info = await self._consumer_info(priority)
            assert info["num_redelivered"] > 0, info

        await holds(check_redelivered)

    async def declined(self, priority: Priority) -> None:
        """Wait until a processor has declined a work item, and asks for none."""

        async def check_waits_again() -> None:
            info = await self._consumer_info(priority)
            assert info["name"] in self._declined, info
            assert info["num_waiting"] == 0, info

        await holds(check_waits_again)

    def _note_declined(self, subject: bytes, _reply: bytes, body: bytes, _headers: object) -> None:
        # $JS.ACK.<stream>.<consumer>.…
        if body.startswith(b"-NAK"):
            self._declined.append(subject.decode().split(".")[3])

    async def held(self, count: int, priority: Priority = Priority.MEDIUM) -> None:
        """Wait until so many work items are delivered and not acknowledged."""

        async def check_held() -> None:
            info = await self._consumer_info(priority)
            assert info["num_ack_pending"] == count, info

        await holds(check_held)

    async def _consumer_info(self, priority: Priority) -> dict[str, Any]:
        name = streams.work_consumer_name("default", priority)
        return await jetstream_request(self.session, f"CONSUMER.INFO.{streams.WORK_STREAM}.{name}")

    async def fill_reports(self) -> None:
        """Fill the stream of reports, made with `SMALL_REPORTS_MAX_BYTES`, so that nothing more is stored."""
        await self.publish(OutboundMessage(subjects.report("filler"), b"x" * (SMALL_REPORTS_MAX_BYTES - 200), {}))

    async def reports_stored(self, count: int) -> None:
        """Wait until so many bundles are stored and not collected."""

        async def check_stored() -> None:
            reply = await jetstream_request(self.session, f"STREAM.INFO.{streams.REPORTS_STREAM}")
            assert reply["state"]["messages"] == count

        await holds(check_stored)

    async def work_left(self) -> int:
        """How many work items are not acknowledged."""
        reply = await jetstream_request(self.session, f"STREAM.INFO.{streams.WORK_STREAM}")
        return int(reply["state"]["messages"])

    async def all_acknowledged(self) -> None:
        """Wait until every work item is acknowledged."""

        async def check_empty() -> None:
            assert await self.work_left() == 0

        await holds(check_empty)

    def _collect(self, delivery: DeliveredMessage) -> None:
        bundle = ReportBundle.model_validate_json(delivery.body)
        self.bundles.append(bundle)
        self.bundle_sizes.append(len(delivery.body))
        for report in bundle.reports:
            if isinstance(report, Hello):
                self.hellos.append(report)
            else:
                self.reports.append(report)
        self.session.write_acks([delivery.reply])


def work_message(item: WorkItem) -> OutboundMessage:
    """The message that asks for an attempt."""
    return OutboundMessage(
        subject=subjects.work(item.queue, item.priority, item.kind, item.task_id),
        body=item.model_dump_json().encode(),
        headers={streams.MESSAGE_ID_HEADER: f"{item.task_id}:{item.attempt}:{item.dispatch}"},
    )


@asynccontextmanager
async def store_side(
    nats_url: str, *, is_provisioned: bool = True, is_collecting: bool = True, **provisioning: Any
) -> AsyncIterator[StoreSide]:
    """Yield a connected `StoreSide`; `provisioning` as in `StoreSide.provision`."""
    side = StoreSide(nats_url)
    await side.open(is_provisioned=is_provisioned, is_collecting=is_collecting, **provisioning)
    try:
        yield side
    finally:
        await side.close()


@asynccontextmanager
async def running_processor(
    nats_url: str,
    *apps: TaskApp,
    **settings: Any,
) -> AsyncIterator[Supervisor]:
    """Yield a processor that serves in this process; it is drained at the end."""
    settings.setdefault("grace_seconds", 0)
    processor = build_processor(
        ProcessorSettings(nats_url=nats_url, nats_nkey_seed=seed_of(PROCESSOR), **settings), apps
    )
    async with running_service(processor) as supervisor:
        yield supervisor


@asynccontextmanager
async def processor_process(
    nats_url: str, directory: Path, *arguments: str, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Yield a processor that runs in a process of its own, in `directory`; it is killed at the end.

    With `TASKMILL_FAILPOINT` it dies where that says.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.chaos.bootstrap",
        "taskmill.processor",
        *arguments,
        cwd=directory,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TASKMILL_NATS_URL": nats_url,
            "TASKMILL_NATS_NKEY_SEED": seed_of(PROCESSOR).get_secret_value(),
            "TASKMILL_LOG_FORMAT": "json",
            **environment,
        },
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        # The pipe has to be read to its end before the process counts as gone.
        await process.communicate()


def _nothing() -> None:
    pass
