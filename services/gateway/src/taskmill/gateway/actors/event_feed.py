"""The actor that follows the log for all who follow it through this gateway."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog

from taskmill.contracts import subjects
from taskmill.contracts.errors import StoreUnavailableError, TaskmillError
from taskmill.contracts.streams import POSITION_HEADER, PREVIOUS_POSITION_HEADER, parse_position
from taskmill.gateway.adapters.log import Log
from taskmill.gateway.domain.following import EventFilter, FollowedEvent
from taskmill.gateway.followers import Follower, Followers
from taskmill.runtime.actor import Actor, is_set_within
from taskmill.runtime.backoff import Backoff
from taskmill.runtime.nats_protocol import header_value
from taskmill.runtime.nats_session import NatsSession

_log = structlog.get_logger(__name__)

WAITING_EVENTS = 10_000
"""How many events may wait for one follower: a batch of a thousand tasks alone makes two thousand."""

WAITING_BYTES = 16 * 1024 * 1024
"""How large they may be together. Those who wait for the same event share it."""

ARRIVED_MESSAGES = 20_000
ARRIVED_BYTES = 64 * 1024 * 1024
"""How many messages may wait to be looked at. What is dropped beyond is missed, noticed, and read from the log."""

LOOKED_AT_ONCE = 20
"""After so many events others have their turn: with a thousand who follow, each event is compared a thousand times."""

LINGER_SECONDS = 10.0
"""How long the feed goes on when nobody follows any more: somebody who comes again need not wait for its start."""

LOOK_INTERVAL_SECONDS = 5.0
"""When nothing was heard for so long, the log is asked whether there was anything to hear."""

LOOK_SOON_SECONDS = 0.5
"""The same while old events are published again: the new ones come to NATS only after them."""

LIVE_WITHIN_SECONDS = 4.0
"""How long somebody who wants to follow waits until the feed has started."""


class EventFeed(Actor):
    """Hears every event on NATS while anybody follows, and hands each on in the order of the log, once.

    An event says after which one it comes in the log. If that is not the last one that was heard, something was missed,
    and is read from the log: nothing that happens to NATS makes a hole.

    Args:
        session: The connection.
        log: The log.
        max_followers: How many may follow at once.
    """

    name = "event-feed"

    def __init__(self, session: NatsSession, log: Log, *, max_followers: int) -> None:
        self._session = session
        self._log = log
        self._max_followers = max_followers
        self._followers = Followers()
        self._arrived: deque[tuple[FollowedEvent, int]] = deque()
        self._arrived_bytes = 0
        self.places = 0
        """How many follow."""
        self.streams = 0
        """How many of them are event streams."""
        self._heard_at = 0.0
        self._is_repeating = False
        self._position: int | None = None
        self._is_live = asyncio.Event()
        self._is_doubtful = False
        self._woken = asyncio.Event()
        self._closed = asyncio.Event()
        session.on_reconnect(self._doubt)

    @property
    def position(self) -> int:
        """Up to where in the log everything has been handed on. To be asked while following."""
        return self._position or 0

    @property
    def is_full(self) -> bool:
        """Whether as many follow as may."""
        return self.places >= self._max_followers

    @contextmanager
    def place(self, *, is_stream: bool) -> Iterator[None]:
        """Count among those who follow, also while what happened before is still being read."""
        self.places += 1
        self.streams += is_stream
        try:
            yield
        finally:
            self.places -= 1
            self.streams -= is_stream

    async def closed(self) -> None:
        """Return when nobody may follow any more, for the gateway ends."""
        await self._closed.wait()

    @asynccontextmanager
    async def follow(self, wanted: EventFilter) -> AsyncIterator[Follower]:
        """Get, from now on, every event that is wanted: all behind `position`.

        Raises:
            StoreUnavailableError: The feed cannot start now.
        """
        follower = Follower(wanted, capacity=WAITING_EVENTS, capacity_bytes=WAITING_BYTES)
        self._followers.add(follower)
        self._woken.set()
        try:
            if self._closed.is_set() or not await is_set_within(self._is_live, LIVE_WITHIN_SECONDS):
                raise StoreUnavailableError
            yield follower
        finally:
            self._followers.remove(follower)

    def cut_off_all(self) -> None:
        """End all following, for good, so that nobody holds up the end of the gateway."""
        self._closed.set()
        self._followers.cut_off_all()

    def stop(self) -> None:
        """Begin the drain: nobody follows any longer."""
        super().stop()
        self.cut_off_all()
        self._woken.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Follow whenever anybody does, until stopped."""
        started()
        while not self._stop_requested.is_set():
            self._woken.clear()
            if self._followers:
                await self._follow_while_wanted()
            else:
                await self._woken.wait()

    async def _follow_while_wanted(self) -> None:
        subscription = self._session.subscribe(subjects.EVENT_SUBJECTS, self._on_message)
        try:
            await self._start()
            await self._hand_on()
        finally:
            self._session.unsubscribe(subscription)
            self._is_live.clear()
            self._position = None
            self._forget_arrived()
            # Who came in the meantime begins anew.
            self._followers.cut_off_all()

    async def _start(self) -> None:
        backoff = Backoff(base_seconds=0.1, cap_seconds=1)
        while not self._stop_requested.is_set() and self._position is None:
            try:
                # What is committed from now on is heard.
                await self._session.flush()
                self._position = (await self._log.ends()).newest
            except TaskmillError as error:
                _log.warning("event_feed.postponed", error=str(error))
                await is_set_within(self._stop_requested, backoff.next())
        self._is_live.set()

    async def _hand_on(self) -> None:
        loop = asyncio.get_running_loop()
        wanted_at = self._heard_at = loop.time()
        backoff = Backoff(base_seconds=0.1, cap_seconds=1)
        while not self._stop_requested.is_set():
            self._woken.clear()
            await self._look_at_arrived()
            if self._is_doubtful:
                if await self._catch_up():
                    backoff.reset()
                    self._heard_at = loop.time()
                else:
                    await is_set_within(self._stop_requested, backoff.next())
                continue
            if self._followers:
                wanted_at = loop.time()
            elif loop.time() > wanted_at + LINGER_SECONDS:
                return
            look_at = self._heard_at + (LOOK_SOON_SECONDS if self._is_repeating else LOOK_INTERVAL_SECONDS)
            remaining = look_at - loop.time()
            if remaining <= 0 or (not await is_set_within(self._woken, remaining) and loop.time() >= look_at):
                self._is_repeating = False
                self._is_doubtful = True

    async def _look_at_arrived(self) -> None:
        count = 0
        while self._arrived and not self._is_doubtful:
            event, previous = self._arrived.popleft()
            self._arrived_bytes -= len(event.document)
            self._look_at(event, previous)
            count += 1
            if count % LOOKED_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _look_at(self, event: FollowedEvent, previous: int) -> None:
        if event.position <= self.position:
            self._is_repeating = True
            return
        if previous != self.position:
            self._is_doubtful = True
            return
        self._tell(event)

    def _tell(self, event: FollowedEvent) -> None:
        self._position = event.position
        self._heard_at = asyncio.get_running_loop().time()
        self._followers.tell(event)

    async def _catch_up(self) -> bool:
        """Read what was missed, if anything was; return whether all of it could be read."""
        self._is_doubtful = False
        try:
            async for found in self._log.up_to_now(self.position, EventFilter()):
                if not found.removed <= self.position <= found.newest:
                    self._begin_anew(found.newest)
                    return True
                for number, event in enumerate(found.events, 1):
                    self._tell(event)
                    if number % LOOKED_AT_ONCE == 0:
                        await asyncio.sleep(0)
        except TaskmillError as error:
            _log.warning("event_feed.postponed", error=str(error))
            self._is_doubtful = True
            return False
        return True

    def _begin_anew(self, newest: int) -> None:
        """The log cannot be followed from here: PostgreSQL was set back, or what was missed has been removed.

        Whoever follows has to come again.
        """
        _log.error("event_feed.log_set_back", position=self.position, newest=newest)
        self._position = newest
        self._followers.cut_off_all()

    def _doubt(self) -> None:
        self._is_doubtful = True
        self._woken.set()

    def _on_message(self, subject: bytes, _reply: bytes, body: bytes, headers: bytes | None) -> None:
        position = parse_position(header_value(headers, POSITION_HEADER))
        if position is None:
            return
        previous = parse_position(header_value(headers, PREVIOUS_POSITION_HEADER))
        event_type, kind, task_id = subject.decode().rsplit(".", 3)[1:]
        event = FollowedEvent(position, event_type, kind, task_id, body)
        self._arrived.append((event, -1 if previous is None else previous))
        self._arrived_bytes += len(body)
        if len(self._arrived) > ARRIVED_MESSAGES or self._arrived_bytes > ARRIVED_BYTES:
            self._forget_arrived()
            self._is_doubtful = True
        self._woken.set()

    def _forget_arrived(self) -> None:
        self._arrived.clear()
        self._arrived_bytes = 0
