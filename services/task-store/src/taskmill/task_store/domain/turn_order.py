"""Whose turn it is: the memory of the store that leads.

Of what waits it knows only *lanes*: which queue, priority, kind and key have waiting tasks, not which or how many. Of
what was let through it knows each task until its end is heard. Since it alone takes slots, and anything else only frees
them, what it counts is never less than what is so: no limit can be exceeded.

Keys share their queue by stride scheduling: each turn moves its key ahead by 1/weight, and the key that is furthest
behind comes next. One that has had nothing to do starts a little behind the others (its *credit*), no further: a short
burst goes through at once, and nobody saves up turns. While turns are given on credit the queue's time passes, too,
half as fast as if each that competes had its share: however many new keys come, an old one has its turns.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from heapq import heappop, heappush, heapreplace, nlargest
from itertools import count, islice
from math import ceil, inf
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from taskmill.contracts.status import Priority
from taskmill.task_store.domain.turns import NO_LIMITS, Bucket, LimitRules, Turn, TurnStart, slice_of

CREDIT_ROUNDS = 2
"""The credit of a key that comes back, in slots of its queue: half of the slots, plus the wait for the first of them to
be free, would take a small tenant more than twice the time that it needs alone."""

AHEAD_SECONDS = 0.025
"""Beside what fills the slots, so much work is let through: what ends while the next turns are given. More would wait
in front of a key that comes later."""

RATE_INTERVAL_SECONDS = 0.25
"""Over how long it is counted at least how many tasks end."""

SWEPT_KEYS = 1_000
"""So many keys a queue learns at least before it looks which it need not remember."""

REMEMBERED_KEYS = 10_000
"""So many keys without work a queue remembers then: those that used up most of their credit."""

_RANKS = {priority: rank for rank, priority in enumerate(Priority)}


class Lane(NamedTuple):
    """Tasks that wait for the same: the oldest comes first."""

    queue: str
    priority: Priority
    kind: str
    key: str
    """Their concurrency key; empty: they have none."""


class ActiveTask(NamedTuple):
    """A task that is queued or in progress."""

    task_id: UUID
    version: int
    lane: Lane


class _Key:
    """A key in one queue."""

    __slots__ = ("competing", "lanes", "passed")

    def __init__(self, passed: float) -> None:
        self.passed = passed
        """How far it is: the sum of 1/weight over its turns, but for what its credit forgives."""
        self.lanes = 0
        self.competing = 0
        """How many of its lanes wait for their turn, and not for a limit."""


class _Lane:
    __slots__ = ("buckets", "is_gone", "is_parked", "key", "name")

    def __init__(self, name: Lane, key: _Key, buckets: "tuple[_Bucket, ...]") -> None:
        self.name = name
        self.key = key
        self.buckets = buckets
        self.is_gone = False
        self.is_parked = True


_Heap = list[tuple[float, int, _Lane]]


class _Queue:
    """What waits in a queue, and what is let through."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.now_at = 0.0
        """The queue's virtual time: how far a key is that has had its share."""
        self.competing = 0
        """How many keys wait for their turn, and not for a limit."""
        self.active = 0
        self.slots = 0
        self.ended = 0
        self.ended_per_second = 0.0
        self.keys: dict[str, _Key] = {}
        self.most_keys = SWEPT_KEYS
        """With more than that, it is looked which may be forgotten."""
        self.ready: list[_Heap] = [[] for _ in Priority]

    @property
    def window(self) -> int:
        """How many tasks are let through at once; 0 while nobody serves it, or its slots of limits would be wasted."""
        return self.slots + ceil(self.ended_per_second * AHEAD_SECONDS) if self.slots else 0

    def start_of(self, weight: float) -> float:
        """How far a key is at least."""
        return self.now_at - CREDIT_ROUNDS * self.slots / weight

    def compete(self, key: _Key, lanes: int) -> None:
        """So many more lanes of a key compete; or, below 0, fewer."""
        did = bool(key.competing)
        key.competing += lanes
        self.competing += bool(key.competing) - did

    def note_turn(self, key: _Key, weight: float) -> None:
        """A key that competes has its turn."""
        if key.passed >= self.now_at:
            self.now_at = key.passed
        else:
            self.now_at += 1 / (2 * self.competing)
        key.passed += 1 / weight


class _Bucket:
    """A bucket, with what is counted there, and the lanes that wait for it."""

    def __init__(self, name: Bucket) -> None:
        self.name = name
        limit = name.limit
        self.active = 0
        self.lanes = 0
        self.parked: OrderedDict[str, list[_Heap]] = OrderedDict()
        """The lanes by queue, then by priority; the queue that had room last comes last."""
        self.is_timed = False
        """Whether it is looked at when its rate has room."""
        self._most: float = inf if limit.max_in_progress is None else limit.max_in_progress
        self._rate_tasks: float = inf if limit.rate_tasks is None else limit.rate_tasks
        self._period = timedelta(seconds=limit.rate_seconds or 0)
        self._slices: OrderedDict[int, tuple[datetime, int]] = OrderedDict()
        self._in_period = 0

    @property
    def is_rated(self) -> bool:
        return self._rate_tasks != inf

    @property
    def is_unused(self) -> bool:
        """Whether it is as it was made."""
        return not (self.lanes or self.active or self._in_period)

    def room(self, now: datetime) -> float:
        """How many more may be let through."""
        while self._slices:
            slice_, (last_at, tasks) = next(iter(self._slices.items()))
            if last_at + self._period > now:
                break
            del self._slices[slice_]
            self._in_period -= tasks
        return min(self._most - self.active, self._rate_tasks - self._in_period)

    def reserve(self) -> None:
        self.active += 1
        self._in_period += self.is_rated

    def free(self) -> None:
        """A task has ended."""
        self.active -= 1

    def take_back(self) -> None:
        """A turn was not given after all."""
        self._in_period -= self.is_rated

    def remember(self, slice_: int, at: datetime, tasks: int = 1, *, is_reserved: bool = True) -> None:
        """Turns were given."""
        last_at, before = self._slices.get(slice_, (at, 0))
        self._slices[slice_] = max(last_at, at), before + tasks
        if not is_reserved:
            self._in_period += tasks

    def opens_at(self) -> datetime | None:
        """When the oldest turns of its period no longer count; None: none do."""
        for last_at, _ in self._slices.values():
            return last_at + self._period
        return None

    def park(self, lane: _Lane, entry: tuple[float, int, _Lane]) -> None:
        """Let a lane wait for room."""
        heaps = self.parked.setdefault(lane.name.queue, [])
        if not heaps:
            heaps.extend([] for _ in Priority)
        heappush(heaps[_RANKS[lane.name.priority]], entry)

    def next_parked(self, queue: str | None = None) -> _Lane | None:
        """Take out the lane that comes first: of a queue, or of that whose turn it is; None: there is none."""
        while self.parked:
            name = next(iter(self.parked)) if queue is None else queue
            for heap in self.parked.get(name, ()):
                while heap:
                    lane = heappop(heap)[2]
                    if not lane.is_gone:
                        self.parked.move_to_end(name)
                        return lane
            self.parked.pop(name, None)
            if queue is not None:
                return None
        return None


class TurnOrder:
    """Decides whose turn it is. All is forgotten and told anew with `reload`.

    Args:
        weights: The weights of keys; of others it is 1.
    """

    def __init__(self, weights: Mapping[str, float] = MappingProxyType({})) -> None:
        self.rules = NO_LIMITS
        self.weights = weights
        self._queues: dict[str, _Queue] = {}
        self._lanes: dict[Lane, _Lane] = {}
        self._buckets: dict[Bucket, _Bucket] = {}
        self._unread: dict[Bucket, None] = {}
        """Those with a rate of which is not known what turns they had before."""
        self._open: dict[_Bucket, None] = {}
        """Those with parked lanes that may have room."""
        self._timers: list[tuple[datetime, int, _Bucket]] = []
        self._active: dict[UUID, tuple[int, str, tuple[_Bucket, ...]]] = {}
        self._numbers = count()
        self._counted_at: datetime | None = None
        self._is_closed = False

    def reload(
        self,
        rules: LimitRules,
        *,
        active: Iterable[ActiveTask],
        lanes: Iterable[Lane],
        is_closed: bool = False,
    ) -> None:
        """Begin anew with what is so; how far keys are is kept.

        Args:
            rules: The limits.
            active: Which tasks are let through.
            lanes: Where tasks wait.
            is_closed: More tasks are let through than are known: what a limit holds for must wait.
        """
        self.rules = rules
        self._is_closed = is_closed
        for memory in (self._lanes, self._buckets, self._unread, self._open, self._active, self._timers):
            memory.clear()
        for queue in self._queues.values():
            queue.active = queue.competing = 0
            queue.ready = [[] for _ in Priority]
            for key in queue.keys.values():
                key.lanes = key.competing = 0
        for task in active:
            buckets = self._buckets_of(task.lane)
            self._active[task.task_id] = task.version, task.lane.queue, buckets
            self._queue(task.lane.queue).active += 1
            for bucket in buckets:
                bucket.active += 1
        for lane in lanes:
            self.add(lane)

    def take_unread(self, most: int) -> list[Bucket]:
        """Buckets with a rate, at most so many, of which `count_starts` has to be told; before the next `pick`."""
        names = list(islice(self._unread, most))
        for name in names:
            del self._unread[name]
        return names

    def count_starts(self, starts: Iterable[TurnStart]) -> None:
        """Count the turns that buckets of `take_unread` had before, oldest first."""
        limits = {limit.name: limit for limit in self.rules.limits}
        for name, key_name, slice_, last_at, tasks in starts:
            limit = limits.get(name)
            # One that is gone meanwhile comes as unread when it comes again.
            bucket = None if limit is None else self._buckets.get(Bucket(limit, key_name))
            if bucket is not None:
                bucket.remember(slice_, last_at, tasks, is_reserved=False)

    def set_slots(self, slots: Mapping[str, int]) -> None:
        """Say how many tasks of each queue are executed at once; of a queue that is missing none is."""
        for name in {*self._queues, *slots}:
            self._queue(name).slots = slots.get(name, 0)

    @property
    def lane_count(self) -> int:
        """In how many lanes tasks wait."""
        return len(self._lanes)

    @property
    def remembered_count(self) -> int:
        """Of how many keys and buckets something is remembered."""
        return len(self._buckets) + sum(len(queue.keys) for queue in self._queues.values())

    @property
    def active_count(self) -> int:
        """How many tasks are let through and have not ended."""
        return len(self._active)

    def add(self, name: Lane) -> None:
        """Tasks wait in a lane."""
        if name in self._lanes:
            return
        queue = self._queue(name.queue)
        start = queue.start_of(self._weight(name.key))
        key = queue.keys.get(name.key)
        if key is None:
            key = queue.keys[name.key] = _Key(start)
        elif not key.lanes:
            key.passed = max(key.passed, start)
        key.lanes += 1
        lane = self._lanes[name] = _Lane(name, key, self._buckets_of(name))
        for bucket in lane.buckets:
            bucket.lanes += 1
        self._make_ready(queue, lane)

    def remove(self, name: Lane) -> None:
        """Nothing waits in a lane any more."""
        lane = self._lanes.pop(name, None)
        if lane is None:
            return
        lane.is_gone = True
        lane.key.lanes -= 1
        for bucket in lane.buckets:
            bucket.lanes -= 1
            self._forget_unused(bucket)
        queue = self._queue(name.queue)
        if not lane.is_parked:
            queue.compete(lane.key, -1)
        if len(queue.keys) > queue.most_keys:
            self._sweep(queue)

    def end(self, task_id: UUID, version: int) -> bool:
        """A task has ended, or waits again, as its event of a version says; return whether it held a slot."""
        known = self._active.get(task_id)
        if known is None or version <= known[0]:
            return False
        self._release(task_id).ended += 1
        return True

    def pick(self, now: datetime, most: int) -> dict[Lane, int]:
        """Choose lanes, and from each how many tasks, oldest first, have their turn. Their slots are taken.

        `settle` must follow for each lane, with the tasks that are there.

        Args:
            now: What time it is.
            most: How many tasks in all.
        """
        self._count_ends(now)
        self._wake(now)
        picks: dict[Lane, int] = {}
        # One of each queue after another: they may compete for the same limit.
        queues = deque(queue for queue in self._queues.values() if queue.active < queue.window)
        while queues and most:
            queue = queues.popleft()
            lane = self._next(queue, now)
            if lane is None:
                continue
            most -= 1
            picks[lane.name] = picks.get(lane.name, 0) + 1
            queue.active += 1
            queue.note_turn(lane.key, self._weight(lane.name.key))
            for bucket in lane.buckets:
                bucket.reserve()
            if queue.active < queue.window:
                queues.append(queue)
        return picks

    def settle(self, lane: Lane, picked: int, found: Sequence[tuple[UUID, int]]) -> list[Turn]:
        """Say which tasks were found in a lane: those whose turn it is.

        Args:
            lane: One that was picked.
            picked: How many of it.
            found: The id and the version of each, and of one more: it tells that more are there. If it is missing the
                lane is empty, until `add` says otherwise.
        """
        buckets = self._buckets_of(lane)
        rated = tuple(bucket.name for bucket in buckets if bucket.is_rated)
        turns = []
        for task_id, version in islice(found, picked):
            self._active[task_id] = version, lane.queue, buckets
            turns.append(Turn(task_id, version, rated))
        missing = picked - len(turns)
        if missing:
            queue = self._queue(lane.queue)
            queue.active -= missing
            queue.keys[lane.key].passed -= missing / self._weight(lane.key)
            for bucket in buckets:
                for _ in range(missing):
                    bucket.take_back()
                    self._free(bucket)
        if len(found) <= picked:
            self.remove(lane)
        return turns

    def given(self, turn: Turn, at: datetime | None) -> None:
        """Say what became of a turn.

        Args:
            turn: One that `settle` returned.
            at: When the task was queued; None: it was not, for it had changed. If it still waits, `add` must say so.
        """
        for name in turn.rated:
            bucket = self._bucket(name)
            if at is None:
                bucket.take_back()
            else:
                bucket.remember(slice_of(name.limit, at), at)
            self._look_at(bucket)
        if at is None and turn.task_id in self._active:
            self._release(turn.task_id)

    def opens_at(self) -> datetime | None:
        """When the first rate has room for what waits for it; None: nothing waits for one."""
        return self._timers[0][0] if self._timers else None

    def _next(self, queue: _Queue, now: datetime) -> _Lane | None:
        """The lane that comes next, and that no limit holds."""
        while True:
            for heap in queue.ready:
                while heap:
                    passed, _, lane = heap[0]
                    if lane.is_gone:
                        heappop(heap)
                    elif lane.key.passed > passed:
                        # Its key has had turns since.
                        heapreplace(heap, (lane.key.passed, next(self._numbers), lane))
                    elif (bucket := self._full_one(lane, now)) is not None:
                        self._park(bucket, lane, heappop(heap))
                    else:
                        return lane
            if not self._unpark_one(queue, now):
                return None

    def _full_one(self, lane: _Lane, now: datetime) -> _Bucket | None:
        for bucket in lane.buckets:
            if self._is_closed or bucket.room(now) <= 0:
                return bucket
        return None

    def _park(self, bucket: _Bucket, lane: _Lane, entry: tuple[float, int, _Lane]) -> None:
        bucket.park(lane, entry)
        lane.is_parked = True
        self._queue(lane.name.queue).compete(lane.key, -1)
        self._set_timer(bucket)

    def _set_timer(self, bucket: _Bucket) -> None:
        if bucket.is_timed or (opens_at := bucket.opens_at()) is None:
            return
        bucket.is_timed = True
        heappush(self._timers, (opens_at, next(self._numbers), bucket))

    def _wake(self, now: datetime) -> None:
        """Let lanes compete again for which there is room, as many as it is for."""
        while self._timers and self._timers[0][0] <= now:
            bucket = heappop(self._timers)[2]
            bucket.is_timed = False
            self._open[bucket] = None
        if self._is_closed:
            return
        for bucket in list(self._open):
            room = bucket.room(now)
            while room > 0 and (lane := bucket.next_parked()) is not None:
                room -= 1
                self._make_ready(self._queue(lane.name.queue), lane)
            self._close_if_done(bucket, now)

    def _unpark_one(self, queue: _Queue, now: datetime) -> bool:
        """Let one more lane of a queue compete: those that were woken may wait for something else."""
        if self._is_closed:
            return False
        for bucket in list(self._open):
            if bucket.room(now) > 0 and (lane := bucket.next_parked(queue.name)) is not None:
                self._make_ready(queue, lane)
                return True
            self._close_if_done(bucket, now)
        return False

    def _close_if_done(self, bucket: _Bucket, now: datetime) -> None:
        if not bucket.parked or bucket.room(now) <= 0:
            del self._open[bucket]
            if bucket.parked:
                self._set_timer(bucket)

    def _make_ready(self, queue: _Queue, lane: _Lane) -> None:
        key = lane.key
        # What was held for long has not saved up turns.
        key.passed = max(key.passed, queue.start_of(self._weight(lane.name.key)))
        lane.is_parked = False
        queue.compete(key, +1)
        heappush(queue.ready[_RANKS[lane.name.priority]], (key.passed, next(self._numbers), lane))

    def _release(self, task_id: UUID) -> _Queue:
        _, name, buckets = self._active.pop(task_id)
        queue = self._queue(name)
        queue.active -= 1
        for bucket in buckets:
            self._free(bucket)
        return queue

    def _free(self, bucket: _Bucket) -> None:
        bucket.free()
        self._look_at(bucket)
        self._forget_unused(bucket)

    def _forget_unused(self, bucket: _Bucket) -> None:
        if bucket.is_unused:
            self._buckets.pop(bucket.name, None)
            self._unread.pop(bucket.name, None)

    def _sweep(self, queue: _Queue) -> None:
        """Forget the keys of a queue that have no work, but for those that are furthest ahead."""
        leads = {
            name: (key.passed - queue.start_of(weight)) * weight
            for name, key in queue.keys.items()
            if not key.lanes
            for weight in (self._weight(name),)
        }
        ahead = {name for name in nlargest(REMEMBERED_KEYS, leads, key=leads.__getitem__) if leads[name] > 0}
        queue.keys = {name: key for name, key in queue.keys.items() if key.lanes or name in ahead}
        # As many again, so that to look costs each key the same, however many there are.
        queue.most_keys = 2 * len(queue.keys) + SWEPT_KEYS

    def _look_at(self, bucket: _Bucket) -> None:
        """Next time, look whether there is room for what is parked."""
        if bucket.parked:
            self._open[bucket] = None

    def _count_ends(self, now: datetime) -> None:
        if self._counted_at is None:
            self._counted_at = now
        seconds = (now - self._counted_at).total_seconds()
        if seconds < RATE_INTERVAL_SECONDS:
            return
        self._counted_at = now
        for queue in self._queues.values():
            queue.ended_per_second = (queue.ended_per_second + queue.ended / seconds) / 2
            queue.ended = 0

    def _weight(self, key: str) -> float:
        return self.weights.get(key, 1)

    def _queue(self, name: str) -> _Queue:
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = _Queue(name)
        return queue

    def _buckets_of(self, lane: Lane) -> tuple[_Bucket, ...]:
        return tuple(map(self._bucket, self.rules.buckets(lane.kind, lane.key or None)))

    def _bucket(self, name: Bucket) -> _Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket(name)
            if bucket.is_rated:
                self._unread[name] = None
        return bucket
