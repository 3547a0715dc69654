"""Follows the log over NATS, without a gap."""

import asyncio
import re
from collections.abc import AsyncGenerator, Collection
from types import TracebackType
from typing import Self
from uuid import UUID

import structlog

from taskmill.contracts.errors import UnavailableError
from taskmill.contracts.events import EventType
from taskmill.contracts.log import ReadLog
from taskmill.contracts.patterns import NAME_PATTERN
from taskmill.contracts.streams import EVENTS_STREAM
from taskmill.runtime.actor import is_set_within
from taskmill.runtime.backoff import Backoff
from taskmill.runtime.errors import JetStreamError
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.ordered_consumer import OrderedConsumer
from taskmill.runtime.requests import RequestClient
from taskmill.runtime.settings import load
from taskmill.sdk.errors import AccessRefusedError, EventsGoneError, GapError, LogSetBackError, TaskEventsGoneError
from taskmill.sdk.event import Event
from taskmill.sdk.subscribing.arrivals import Arrival, Arrivals
from taskmill.sdk.subscribing.log import Log
from taskmill.sdk.subscribing.settings import SubscriberSettings
from taskmill.sdk.subscribing.versions import LastEvent, TaskVersions
from taskmill.sdk.subscribing.wanted import Wanted

_log = structlog.get_logger(__name__)

READER = "reader"
"""The user of NATS that may only read has inboxes below this name."""

START_WITHIN_SECONDS = 60.0
TAKEN_AT_ONCE = 500
LOOK_INTERVAL_SECONDS = 1.0
"""How often it is looked whether the consumer is still heard of."""
CLOSE_WITHIN_SECONDS = 5.0
ENDED_WITHIN_SECONDS = 1.0
"""An `async for` that was left by an error ends a moment later, when Python finds that nobody has its iterator."""


class Subscriber:
    """Hears events on NATS, notices when one is missing, and reads that from the log.

    It is entered with `async with`, which connects, and followed with `async for`. Nothing that happens to NATS, the
    task store or the stream makes a hole, a repeat or another order: it goes on where it was when they are back, for
    as long as that takes, and logs it. Only when NATS refuses its password it ends.

    Args:
        settings: Where NATS is, and as whom to come there; None: from the environment (`TASKMILL_NATS_URL`, …), where
            nothing is said at port 4222 of this machine. Unlike `taskmill`, it looks for no stack that runs elsewhere.
        name: Names the connection on the server: 1 to 64 of a-z, 0-9, "-" and "_".
        types: Only events of these types, such as "completed"; empty: of any.
        kind: Only events of tasks of this kind; None: of any.
        task_id: Only events of this task; None: of any.
        start_within_seconds: How long the first look into the log may take, in seconds, with NATS and the task store
            away meanwhile.

    Attributes:
        position: Up to where in the log everything was handed out, and the next was asked for; None: not known yet.
            To be kept, and given to `events` the next time.
        log_reads: How often the log was read because something may have been missed, the start included.
        repeats_dropped: How many events came again, and were not handed out again.

    Raises:
        SettingsError: The environment says nonsense.
        ValueError: `name`, a type, `kind` or `task_id` is none.
    """

    def __init__(
        self,
        settings: SubscriberSettings | None = None,
        *,
        name: str = "subscriber",
        types: Collection[EventType | str] = (),
        kind: str | None = None,
        task_id: UUID | None = None,
        start_within_seconds: float = START_WITHIN_SECONDS,
    ) -> None:
        if not re.fullmatch(NAME_PATTERN, name):
            raise ValueError(f"{name!r} is no name: use a-z, 0-9, '-' and '_'")
        read = ReadLog.model_validate({"types": list(types), "kind": kind, "task_id": task_id})
        settings = settings or load(SubscriberSettings)
        self.position: int | None = None
        self.log_reads = 0
        self.repeats_dropped = 0
        self._wanted = Wanted(types=frozenset(read.types), kind=read.kind, task_id=read.task_id)
        self._start_within_seconds = start_within_seconds
        self._session = NatsSession(settings, client_name=f"{READER}.{name}", is_awaited=False)
        self._log = Log(RequestClient(self._session, timeout_seconds=settings.request_timeout_seconds))
        self._arrivals = Arrivals(settings.subscriber_waiting_events, settings.subscriber_waiting_bytes)
        self._consumer = OrderedConsumer(
            self._session,
            stream=EVENTS_STREAM,
            subjects=self._wanted.subjects,
            deliver=self._arrivals.put,
            on_broken=self._arrivals.doubt,
        )
        self._session.on_reconnect(self._consumer.break_off)
        self._connecting: asyncio.Task[None] | None = None
        self._is_free = asyncio.Event()
        self._is_free.set()
        self._versions = TaskVersions()
        self._found = 0
        self._gap: GapError | None = None
        self._backoff = Backoff(base_seconds=0.1, cap_seconds=2)

    async def __aenter__(self) -> Self:
        self._connecting = asyncio.create_task(self._session.run(lambda: None))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()
        self._session.stop()
        if self._connecting is not None:
            await asyncio.wait({self._connecting}, timeout=CLOSE_WITHIN_SECONDS)
            self._connecting.cancel()

    async def events(self, *, after: int | None = None) -> AsyncGenerator[Event]:
        """Every event that is wanted, in the order of the log, from a position on and for good.

        An event is handed out at least once: whoever keeps the position of each after it was dealt with, gets none
        twice but the one that was being dealt with when the process died. May be called again, with another position,
        after it has ended, but only once at a time.

        Args:
            after: The position up to which everything is known; 0: from the first event that is kept; None: from now
                on.

        Raises:
            GapError: Events are gone that were wanted; `resume_after` says where it can go on. What came before them
                has been handed out.
            AccessRefusedError: NATS refuses the user or the password, at the start or when it is connected anew.
            UnavailableError: NATS or the task store could not be reached within `start_within_seconds`. It is that of
                `taskmill.contracts.errors`.
            RemoteError: The task store refuses to read the log.
            RuntimeError: The subscriber was not entered, or is followed already.
        """
        # An `async for` that was left by an error ends in the next turn of the event loop. Whoever waits with us for
        # that may be the first to go on.
        is_free = await is_set_within(self._is_free, ENDED_WITHIN_SECONDS) and self._is_free.is_set()
        if self._connecting is None or not is_free:
            raise RuntimeError("a subscriber is entered with `async with`, and followed by one at a time")
        self._is_free.clear()
        try:
            self._gap, self._versions = None, TaskVersions()
            self._found = self.position = await self._start(after)
            while True:
                for event in await self._next():
                    yield event
                    self.position = event.position
                if self._gap is not None:
                    raise self._gap
                self.position = self._found
        finally:
            self._consumer.close()
            self._arrivals.doubt()
            self._is_free.set()

    async def _start(self, after: int | None) -> int:
        """Where to begin; afterwards everything that is stored behind it is heard, or in doubt."""
        deadline = asyncio.get_running_loop().time() + self._start_within_seconds
        self._backoff.reset()
        while True:
            try:
                self._arrivals.doubt()
                newest = await self._log.newest()
            except UnavailableError:
                self._check_admission()
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(self._backoff.next())
            else:
                return newest if after is None else after

    async def _next(self) -> list[Event]:
        """What comes next, if anything comes soon."""
        if self._connecting is None or self._connecting.done():
            raise RuntimeError("the subscriber was left, or its connection has crashed")
        if self._arrivals.is_doubtful:
            return await self._read_on()
        if not await self._arrivals.wait(LOOK_INTERVAL_SECONDS) and self._consumer.is_silent:
            self._consumer.break_off()
        arrivals = self._arrivals.take(TAKEN_AT_ONCE)
        return await self._whole([event for arrival in arrivals if (event := self._if_next(arrival)) is not None])

    def _if_next(self, arrival: Arrival) -> Event | None:
        """The event that arrived, if it was not handed out yet, and nothing is missing before it."""
        if arrival.position <= self._found:
            self.repeats_dropped += 1
            return None
        if self._arrivals.is_doubtful:
            return None
        if self._wanted.is_everything and arrival.previous != self._found:
            self._arrivals.doubt()
            return None
        self._found = arrival.position
        return arrival.event()

    async def _read_on(self) -> list[Event]:
        """Read from the log what may have been missed, as much as one request brings."""
        # First, or a doubt that comes up meanwhile would be forgotten.
        self._arrivals.is_doubtful = False
        self.log_reads += 1
        try:
            if not self._consumer.is_open:
                # Before the log is read: what is committed after that is heard.
                await self._consumer.open()
            part = await self._log.behind(self._found, self._wanted)
        except (UnavailableError, JetStreamError) as error:
            self._arrivals.doubt()
            await self._pause(error)
            return []
        self._backoff.reset()
        if part.newest < self._found:
            self._gap = LogSetBackError(after=self._found, newest=part.newest)
            return []
        if 0 < self._found < part.removed:
            self._gap = EventsGoneError(after=self._found, removed=part.removed)
            return []
        self._found = part.position
        if part.position < part.newest:
            self._arrivals.doubt()
        return await self._whole(part.events)

    async def _whole(self, events: list[Event]) -> list[Event]:
        """The same events, each with those of its task before it that are missing.

        None is: the consumer and the log have made sure, each in its way. This is the proof that depends on neither.
        """
        if not self._wanted.are_versions_whole:
            return events
        whole: list[Event] = []
        for event in events:
            last = self._versions.before_gap(event)
            if last is not None:
                missing = await self._between(last, event)
                if [one.version for one in missing] != list(range(last.version + 1, event.version)):
                    self._gap = TaskEventsGoneError(
                        task_id=event.task_id,
                        first=last.version + 1,
                        last=event.version - 1,
                        resume_after=event.position - 1,
                    )
                    break
                whole += missing
            self._versions.note(event)
            whole.append(event)
        return whole

    async def _between(self, last: LastEvent, event: Event) -> list[Event]:
        """The events of a task between two, from the log."""
        _log.warning("subscriber.version_gap", task_id=str(event.task_id), last=last.version, version=event.version)
        while True:
            self.log_reads += 1
            try:
                return await self._log.of_task(event.task_id, last.position, event.position)
            except UnavailableError as error:
                await self._pause(error)

    def _check_admission(self) -> None:
        if self._session.is_refused:
            raise AccessRefusedError

    async def _pause(self, error: Exception) -> None:
        self._check_admission()
        _log.warning("subscriber.postponed", position=self._found, error=str(error))
        await asyncio.sleep(self._backoff.next())
