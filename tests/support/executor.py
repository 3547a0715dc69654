"""A processor that does nothing but its part of the protocol, for tests of the store."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import orjson

from taskmill.contracts import subjects
from taskmill.contracts.errors import BusUnavailableError
from taskmill.contracts.status import Priority
from taskmill.contracts.streams import MESSAGE_ID_HEADER, WORK_STREAM, work_consumer_name
from taskmill.contracts.work import WorkItem
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.outbound import OutboundMessage
from taskmill.runtime.publisher import Publisher
from taskmill.runtime.pull import DeliveredMessage, PullConsumer
from taskmill.runtime.settings import NatsSettings
from tests.support.actors import running
from tests.support.eventually import eventually
from tests.support.task_store import Document, report

CREDIT = 50


class Executor:
    """Completes every work item of medium priority in a queue: report, PubAck, ack, like a processor.

    Args:
        session: The connection.
        queue: The queue.
        reports_of: The reports on a work item; None of them stands for a processor that dies over it.
    """

    def __init__(self, session: NatsSession, queue: str, reports_of: Callable[[Document], list[Document]]) -> None:
        self.executions: Counter[str] = Counter()
        """How often each task was executed."""
        self._session = session
        self._reports_of = reports_of
        self._publisher = Publisher(session, timeout_seconds=2)
        self._deliveries: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
        self.pull = PullConsumer(
            session,
            stream=WORK_STREAM,
            consumer=work_consumer_name(queue, Priority.MEDIUM),
            deliver=self._deliveries.put_nowait,
            on_change=self._ask,
        )

    async def execute(self) -> None:
        """Execute what is delivered, until cancelled."""
        while True:
            delivery = await self._deliveries.get()
            item = WorkItem.model_validate_json(delivery.body)
            self.executions[str(item.task_id)] += 1
            fence = {
                "task_id": str(item.task_id),
                "attempt": item.attempt,
                "dispatch": item.dispatch,
                "delivery": delivery.delivery,
            }
            reports = self._reports_of(fence)
            if reports:
                await self._publish(reports, f"{fence}")
                await self._acknowledge(delivery.reply)
            self._ask()

    def _ask(self) -> None:
        self.pull.pull(CREDIT - self.pull.outstanding - self._deliveries.qsize())

    async def _publish(self, reports: list[Document], message_id: str) -> None:
        body = orjson.dumps({"processor_id": "executor", "reports": reports})
        message = OutboundMessage(subjects.report("executor"), body, {MESSAGE_ID_HEADER: message_id})

        async def is_published() -> bool:
            try:
                await self._publisher.publish(message)
            except BusUnavailableError:
                return False
            return True

        await eventually(is_published, within_seconds=30)

    async def _acknowledge(self, reply: str) -> None:
        try:
            self._session.write_acks([reply])
        except BusUnavailableError:
            return


def completing(fence: Document) -> list[Document]:
    """The report of a task that is done at once."""
    return [report("completed", **fence, result="done")]


@asynccontextmanager
async def running_executor(
    nats_url: str, *, queue: str = "default", reports_of: Callable[[Document], list[Document]] = completing
) -> AsyncIterator[Executor]:
    """Yield an executor with a connection of its own."""
    session = NatsSession(NatsSettings(nats_url=nats_url), client_name="executor")
    async with running(session):
        executor = Executor(session, queue, reports_of)
        async with running(executor.pull):
            executing = asyncio.create_task(executor.execute())
            try:
                yield executor
            finally:
                executing.cancel()
