"""Gives turns: lets through what waits for limits and for the shares of keys."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Protocol
from uuid import UUID

import structlog

from taskmill.contracts.events import EventType
from taskmill.runtime.clock import Clock
from taskmill.runtime.leadership import Leadership
from taskmill.task_store.actors.leader_duty import LeaderDuty
from taskmill.task_store.adapters.turn_log import TurnLog
from taskmill.task_store.domain.operations import GiveTurns
from taskmill.task_store.domain.publication import UnpublishedEvent
from taskmill.task_store.domain.turn_order import TurnOrder
from taskmill.task_store.domain.turns import Turn
from taskmill.task_store.ports import Writes

_log = structlog.get_logger(__name__)

MAX_AT_ONCE = 64
"""Turns that are given in one transaction: their payloads are read for it, and go out as work."""

MAX_HEARD = 20_000
"""Tasks of which is remembered that they came to wait; when there are more, all is read anew."""

MAX_LOOKED_AT = 1_000

MAX_BUCKETS_READ = 100
"""Of so many buckets the turns that they had are read at once, up to 64 rows of each: others want to go on, too."""

TERM_SECONDS = 60
"""After so long all is read anew: a net under what is heard of the log."""

CROWDED_TERM_SECONDS = 5
"""The same while more is let through, or more lanes wait, than is known."""

SETTINGS_SECONDS = 1
"""How long a limit, a share, the slots of processors and pauses may be older, while something waits."""

SLIP_SECONDS = 2
"""For so long after a limit has changed, stores may still queue tasks that it holds for: then all is read once more."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)

_SCHEDULED, _UPDATED = EventType.SCHEDULED, EventType.UPDATED
_FREES = (_SCHEDULED, EventType.COMPLETED, EventType.FAILED, EventType.CANCELLED, EventType.DELETED)
"""No set: to hash an enumeration costs more than to compare it with some."""


class LogListener(Protocol):
    """Hears the log, in its order, from the relay of the store that leads."""

    def begin(self) -> None:
        """From here on everything is heard; what was before is not known."""

    def hear(self, events: Iterable[UnpublishedEvent]) -> None:
        """What comes next. It may come twice."""


class Turns(LeaderDuty):
    """Decides whose turn it is, in the store that leads; all stores hold what must wait.

    It hears from the relay what ends and what comes to wait, and looks for nothing while nothing waits. What it gives
    is written only in the term that it has begun, so that nothing can be given beside a store that leads next.

    Args:
        log: What it reads.
        writes: Where turns are given.
        leadership: Says whether this store leads.
        owner: This store, as the lease names it.
        now: The clock.
    """

    name = "turns"

    def __init__(self, log: TurnLog, writes: Writes, leadership: Leadership, *, owner: str, now: Clock) -> None:
        super().__init__(leadership, interval_seconds=SETTINGS_SECONDS)
        self._log = log
        self._writes = writes
        self._owner = owner
        self._now = now
        self._order = TurnOrder()
        self._hears = False
        self._is_outdated = False
        self._term: int | None = None
        self._term_ends_at = self._looks_at = self._slips_until = _LONG_AGO
        self._held: dict[UUID, None] = {}
        self._ended_meanwhile: list[tuple[UUID, int]] | None = None

    @property
    def lane_count(self) -> int:
        """In how many lanes tasks wait, as far as this store knows."""
        return self._order.lane_count

    def begin(self) -> None:
        """See `LogListener`."""
        self._hears = True
        # No more than that: turns may be given, or all be read, at this moment.
        self._is_outdated = True
        self._held.clear()
        self._woken.set()

    def hear(self, events: Iterable[UnpublishedEvent]) -> None:
        """See `LogListener`."""
        # All that happens comes by here: where nothing takes turns it must cost next to nothing.
        may_free = self._order.active_count > 0 or self._ended_meanwhile is not None
        for event in events:
            event_type = event.type
            if may_free and event_type in _FREES:
                self._hear_end(event.task_id, event.version)
            if (event_type is _SCHEDULED or event_type is _UPDATED) and _may_wait(event):
                self._held[event.task_id] = None
                self._woken.set()
        if len(self._held) > MAX_HEARD:
            self.begin()

    def look_again(self) -> None:
        """Say that limits, shares, or what processors do has changed."""
        self._looks_at = _LONG_AGO
        if self._order.lane_count:
            self._woken.set()

    async def work(self) -> float | None:
        """Give the turns that can be given now; go on at once if there were some."""
        if not self._hears:
            return None
        try:
            return await self._next_turns()
        except BaseException:
            # Nobody knows what was given: in the next term it is read.
            self._term = None
            raise

    async def _next_turns(self) -> float | None:
        now = self._now()
        must_read = self._term is None or self._is_outdated or now >= self._term_ends_at
        if must_read and not await self._begin_term(now):
            return None
        await self._learn_lanes()
        if not self._order.lane_count:
            # What comes to wait wakes it.
            return (self._term_ends_at - now).total_seconds()
        if await self._has_changed(now):
            self._term = None
            return 0
        while unread := self._order.take_unread(MAX_BUCKETS_READ):
            self._order.count_starts(await self._log.starts_of(unread))
        picks = self._order.pick(now, MAX_AT_ONCE)
        if picks:
            found = await self._log.first(picks)
            turns = [turn for lane, tasks in found for turn in self._order.settle(lane, picks[lane], tasks)]
            if turns:
                await self._give(turns)
            return 0
        wakes_at = min(self._looks_at, self._order.opens_at() or self._looks_at)
        return max(0.001, (wakes_at - now).total_seconds())

    async def _begin_term(self, now: datetime) -> bool:
        """Read all anew; False: somebody else leads."""
        self._term, self._is_outdated = None, False
        self._ended_meanwhile = []
        try:
            known = await self._log.begin_term(self._owner)
            if known is None:
                return False
            if known.rules.limits != self._order.rules.limits:
                self._slips_until = now + timedelta(seconds=SLIP_SECONDS)
            self._order.reload(
                known.rules,
                active=known.active,
                lanes=known.lanes,
                is_closed=known.has_more_active,
            )
            for task_id, version in self._ended_meanwhile:
                self._order.end(task_id, version)
        finally:
            self._ended_meanwhile = None
        is_crowded = known.has_more_active or known.has_more_lanes
        self._term = known.term
        self._term_ends_at = now + timedelta(seconds=CROWDED_TERM_SECONDS if is_crowded else TERM_SECONDS)
        if now < self._slips_until:
            self._term_ends_at = min(self._term_ends_at, self._slips_until)
        self._looks_at = now
        _log.debug("turns.term_begun", term=known.term, active=len(known.active), lanes=len(known.lanes))
        return True

    async def _learn_lanes(self) -> None:
        """Find out where those wait that came to wait since."""
        heard = list(islice(self._held, MAX_LOOKED_AT))
        if heard:
            # Before, for they may be heard of again meanwhile.
            for task_id in heard:
                del self._held[task_id]
            for lane in await self._log.lanes_of(heard):
                self._order.add(lane)
            if self._held:
                self._woken.set()

    async def _has_changed(self, now: datetime) -> bool:
        """Read what may have changed, if that is some time ago; whether limits have: then all must be read anew."""
        if now < self._looks_at:
            return False
        settings = await self._log.settings(now)
        self._looks_at = now + timedelta(seconds=SETTINGS_SECONDS)
        self._order.weights = settings.weights
        self._order.set_slots(settings.slots)
        return settings.rules.limits != self._order.rules.limits

    async def _give(self, turns: Sequence[Turn]) -> None:
        assert self._term is not None  # noqa: S101 -- for the type checker
        answer = await self._writes.ask(GiveTurns(self._term, tuple(turns)))
        queued = {state.id: state.queued_at for state in answer.states}
        for turn in turns:
            self._order.given(turn, queued.get(turn.task_id))
            if turn.task_id not in queued:
                # It may still wait, as another version.
                self._held[turn.task_id] = None
        if not queued:
            # All have changed, or another store has begun a term.
            self._term = None

    def _hear_end(self, task_id: UUID, version: int) -> None:
        if self._ended_meanwhile is not None:
            self._ended_meanwhile.append((task_id, version))
        if self._order.end(task_id, version):
            self._woken.set()


def _may_wait(event: UnpublishedEvent) -> bool:
    """Whether an event may tell of a task that waits for its turn, in a lane where nothing waited."""
    # A change of its priority is a change of lanes.
    return ('"reason":"turn"' if event.type is _SCHEDULED else '"priority"') in event.document
