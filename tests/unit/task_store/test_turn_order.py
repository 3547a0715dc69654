"""Whose turn it is."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from taskmill.contracts.status import Priority
from taskmill.task_store.domain.turn_order import REMEMBERED_KEYS, SWEPT_KEYS, ActiveTask, Lane, TurnOrder
from taskmill.task_store.domain.turns import LimitRules, LimitState, TurnStart, slice_of

NOW = datetime(2026, 11, 1, tzinfo=UTC)
QUEUE = "default"


def limit(
    name: str,
    *,
    kind: str | None = None,
    key: str | None = None,
    most: int | None = None,
    rate: tuple[int, float] | None = None,
) -> LimitState:
    tasks, seconds = rate or (None, None)
    return LimitState(name, kind, key, most, tasks, seconds, NOW, NOW)


def lane(key: str = "a", *, queue: str = QUEUE, priority: Priority = Priority.MEDIUM, kind: str = "mail") -> Lane:
    return Lane(queue, priority, kind, key)


class World:
    """The tasks around an order: what waits, what is let through, and when each had its turn."""

    def __init__(
        self,
        limits: Iterable[LimitState] = (),
        weights: dict[str, float] | None = None,
        slots: dict[str, int] | None = None,
    ) -> None:
        self.now = NOW
        self.rules = LimitRules(limits)
        self.slots = {QUEUE: 4} if slots is None else slots
        self.order = TurnOrder(weights or {})
        self.order.reload(self.rules, active=(), lanes=())
        self.order.set_slots(self.slots)
        self.waiting: dict[Lane, deque[UUID]] = defaultdict(deque)
        self.active: dict[UUID, Lane] = {}
        self.turns: list[tuple[datetime, Lane]] = []
        self._ids = 0

    def submit(self, name: Lane, tasks: int = 1) -> None:
        """Tasks come to wait."""
        for _ in range(tasks):
            self._ids += 1
            self.waiting[name].append(UUID(int=self._ids))
        self.order.add(name)

    def give_turns(self, *, changed: bool = False) -> list[Lane]:
        """Do what the store that leads does, until nothing more has its turn.

        Args:
            changed: Whether the first task that is chosen has changed since.
        """
        given_to = []
        self.tell_starts()
        while picks := self.order.pick(self.now, 64):
            for name, picked in picks.items():
                found = [(task_id, 1) for task_id, _ in zip(self.waiting[name], range(picked + 1), strict=False)]
                for turn in self.order.settle(name, picked, found):
                    if changed:
                        changed = False
                        self.order.given(turn, None)
                        self.order.add(name)
                        continue
                    self.waiting[name].remove(turn.task_id)
                    self.active[turn.task_id] = name
                    self.turns.append((self.now, name))
                    self.order.given(turn, self.now)
                    given_to.append(name)
        return given_to

    def end(self, task_id: UUID) -> None:
        """A task ends."""
        del self.active[task_id]
        assert self.order.end(task_id, 3)

    def end_oldest(self) -> None:
        """The task ends that had its turn first."""
        self.end(next(iter(self.active)))

    def reload(self) -> None:
        """What another store knows that begins to lead."""
        self.order = TurnOrder()
        self.order.set_slots(self.slots)
        self.order.reload(
            self.rules,
            active=[ActiveTask(task_id, 2, name) for task_id, name in self.active.items()],
            lanes=[name for name, tasks in self.waiting.items() if tasks],
        )

    def tell_starts(self) -> None:
        """Tell of the turns that buckets had, of which that is to be read."""
        while unread := self.order.take_unread(1):
            starts: Counter[tuple[str, str, int]] = Counter()
            for at, name in self.turns:
                for one, key in set(self.rules.buckets(name.kind, name.key or None)) & set(unread):
                    starts[one.name, key, slice_of(one, at)] += 1
            self.order.count_starts(
                TurnStart(*place, self._last_at(place), tasks)
                for place, tasks in sorted(starts.items(), key=lambda item: item[0][2])
            )

    def _last_at(self, place: tuple[str, str, int]) -> datetime:
        return max(
            at
            for at, name in self.turns
            for one, key in self.rules.buckets(name.kind, name.key or None)
            if one.rate_seconds is not None and (one.name, key, slice_of(one, at)) == place
        )

    def full(self, name: Lane) -> list[str]:
        """The limits that hold a lane, counted anew."""
        held = []
        for bucket in self.rules.buckets(name.kind, name.key or None):
            one = bucket.limit
            active = [
                task for task in self.active.values() if bucket in self.rules.buckets(task.kind, task.key or None)
            ]
            if one.max_in_progress is not None and len(active) >= one.max_in_progress:
                held.append(one.name)
            if one.rate_tasks is not None and len(self._recent(bucket)) >= one.rate_tasks:
                held.append(one.name)
        return held

    def _recent(self, bucket: tuple[LimitState, str]) -> Sequence[datetime]:
        one, _ = bucket
        assert one.rate_seconds is not None
        # Those of a slice are remembered together: up to one slice late.
        period = timedelta(seconds=one.rate_seconds * (1 + 1 / 64) + 0.001)
        return [
            at
            for at, name in self.turns
            if bucket in self.rules.buckets(name.kind, name.key or None) and at > self.now - period
        ]

    def check(self) -> None:
        """No limit is exceeded, and nothing waits for which there is room."""
        for one in self.rules.limits:
            counted: Counter[str] = Counter()
            for task in self.active.values():
                counted.update(b.key for b in self.rules.buckets(task.kind, task.key or None) if b.limit == one)
            if one.max_in_progress is not None:
                assert all(active <= one.max_in_progress for active in counted.values()), (one, counted)
            self._check_rate(one)
        for name, tasks in self.waiting.items():
            active = sum(task.queue == name.queue for task in self.active.values())
            if tasks and active < self.slots.get(name.queue, 0):
                assert self.full(name), (name, active, "could have had its turn")

    def _check_rate(self, one: LimitState) -> None:
        if one.rate_tasks is None or one.rate_seconds is None:
            return
        by_key: dict[str, list[datetime]] = defaultdict(list)
        for at, name in self.turns:
            for bucket in self.rules.buckets(name.kind, name.key or None):
                if bucket.limit == one:
                    by_key[bucket.key].append(at)
        for times in by_key.values():
            for first, last in zip(times, times[one.rate_tasks :], strict=False):
                assert last - first >= timedelta(seconds=one.rate_seconds), (one, first, last)


_KEYS = ("", "a", "b", "c")
_LANES = st.builds(
    Lane,
    st.sampled_from(["default", "other"]),
    st.sampled_from([Priority.HIGH, Priority.LOW]),
    st.sampled_from(["mail", "report"]),
    st.sampled_from(_KEYS),
)
_LIMITS = st.lists(
    st.builds(
        limit,
        st.sampled_from(["one", "two", "three"]),
        kind=st.sampled_from([None, "mail"]),
        key=st.sampled_from([None, "*", "a"]),
        most=st.integers(0, 4),
        rate=st.sampled_from([None, (1, 1.0), (3, 5.0)]),
    ),
    max_size=3,
    unique_by=lambda one: one.name,
)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), _LANES),
        st.tuples(st.just("end"), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.sampled_from([0.2, 1.0, 5.0])),
        st.tuples(st.just("change"), st.none()),
        st.tuples(st.just("reload"), st.none()),
    ),
    max_size=60,
)


@given(limits=_LIMITS, steps=_STEPS)
def test_no_limit_is_exceeded_and_nothing_waits_for_which_there_is_room(
    limits: list[LimitState], steps: list[tuple[str, object]]
) -> None:
    """Whatever comes, ends, changes and fails over: limits hold, and a slot that is free is given."""
    world = World(limits, slots={"default": 3, "other": 2})
    for step, what in steps:
        match step, what:
            case "submit", Lane():
                world.submit(what, 2)
            case "end", int() if world.active:
                world.end(sorted(world.active)[what % len(world.active)])
            case "wait", float():
                world.now += timedelta(seconds=what)
            case "reload", _:
                world.reload()
        world.give_turns(changed=step == "change")
        world.check()


def test_keys_share_their_queue_by_weight() -> None:
    """A key of weight 3 has three times the turns of one of weight 1, while both have work."""
    world = World(weights={"b": 3.0}, slots={QUEUE: 1})
    world.submit(lane("a"), 100)
    world.submit(lane("b"), 100)
    for _ in range(80):
        world.give_turns()
        world.end_oldest()
    turns = Counter(name.key for _, name in world.turns)
    assert abs(turns["a"] - 20) <= 1, turns


def test_a_burst_of_a_small_key_ends_within_twice_the_time_that_it_takes_alone() -> None:
    """Of two keys of equal weight, one with a long queue: the other's ten tasks need 4 rounds of the slots, alone 3."""
    world = World(slots={QUEUE: 4})
    world.submit(lane("big"), 1_000)
    for _ in range(40):
        world.give_turns()
        world.end_oldest()
    world.submit(lane("small"), 10)
    ended = 0
    while any(name.key == "small" for name in world.active.values()) or world.waiting[lane("small")]:
        world.give_turns()
        world.end_oldest()
        ended += 1
    assert ended <= 4 * 5


def test_a_key_that_had_nothing_to_do_has_not_saved_up_turns() -> None:
    """After its credit is used, a key that comes back has its share and no more."""
    world = World(slots={QUEUE: 2})
    world.submit(lane("a"), 1_000)
    world.submit(lane("b"), 1)
    for _ in range(500):
        world.give_turns()
        world.end_oldest()
    world.submit(lane("b"), 1_000)
    before = len(world.turns)
    for _ in range(100):
        world.give_turns()
        world.end_oldest()
    turns = Counter(name.key for _, name in world.turns[before:])
    assert 50 <= turns["b"] <= 50 + 2 * 2, turns


def test_new_keys_without_end_do_not_hold_up_an_old_one() -> None:
    """Each comes with its credit, and there are as many of them as turns: of those that wait, each has its share."""
    world = World(slots={QUEUE: 4})
    world.submit(lane("old"), 4_000)
    for number in range(1_000):
        for of_four in range(4):
            world.submit(lane(f"new-{number}-{of_four}"))
        world.give_turns()
        for _ in range(4):
            world.end_oldest()
    # Each turn of the old one's leaves a new one waiting: it has every second turn at first, and every 60th then.
    turns = Counter(name.key for _, name in world.turns)
    assert turns["old"] > 50, turns["old"]


def test_keys_that_are_gone_cost_nothing() -> None:
    """However many there were: a key that has no work is remembered only if it is far ahead, and so many at most."""
    world = World([limit("each", key="*", most=5)])
    for number in range(3 * REMEMBERED_KEYS):
        world.submit(lane(f"tenant-{number}"))
        world.give_turns()
        world.end_oldest()
    # Had each been looked at for each turn, it would be 450 million looks, and take longer than a test may.
    assert world.order.remembered_count <= 2 * REMEMBERED_KEYS + SWEPT_KEYS


def test_a_higher_priority_goes_first_whatever_its_key_had() -> None:
    """Shares hold among tasks of one priority."""
    world = World(slots={QUEUE: 1})
    world.submit(lane("a", priority=Priority.CRITICAL), 3)
    world.submit(lane("b"), 3)
    keys = []
    for _ in range(6):
        keys += [name.key for name in world.give_turns()]
        world.end_oldest()
    assert keys == ["a"] * 3 + ["b"] * 3


def test_nothing_is_let_through_where_nobody_serves() -> None:
    """What nobody would begin takes no slot of a limit from those who would."""
    world = World([limit("one", kind="mail", most=1)], slots={"other": 1})
    world.submit(lane("a"))
    world.submit(lane("a", queue="other"))
    assert [name.queue for name in world.give_turns()] == ["other"]


def test_a_limit_of_each_key_makes_way_for_one_that_names_the_key() -> None:
    """Who pays for more gets more, without a second number for everybody else."""
    rules = LimitRules([limit("each", key="*", most=1), limit("big", key="big", most=5), limit("all", most=9)])
    assert [bucket.limit.name for bucket in rules.buckets("mail", "big")] == ["big", "all"]
    assert [(bucket.limit.name, bucket.key) for bucket in rules.buckets("mail", "a")] == [("each", "a"), ("all", "")]
    assert [bucket.limit.name for bucket in rules.buckets("mail", None)] == ["all"]


def test_what_was_let_through_before_counts_even_beyond_the_limit() -> None:
    """A limit that is lowered, or new, waits for what goes on."""
    world = World([limit("one", kind="mail", most=2)])
    world.active = {UUID(int=1000 + number): lane("a") for number in range(4)}
    world.waiting[lane("b")].append(UUID(int=1))
    world.reload()
    assert world.give_turns() == []
    for _ in range(2):
        world.end_oldest()
    assert world.give_turns() == []
    world.end_oldest()
    assert world.give_turns() == [lane("b")]


def test_an_event_of_before_its_turn_ends_nothing() -> None:
    """What is told late, or twice, frees no slot that is taken again."""
    world = World([limit("one", kind="mail", most=1)])
    world.submit(lane("a"), 2)
    world.give_turns()
    [task_id] = world.active
    assert not world.order.end(task_id, 1)
    assert world.give_turns() == []


def test_ten_thousand_keys_that_wait_for_one_limit_are_not_all_looked_at_for_each_turn() -> None:
    """They are parked at the limit, and the next one is taken from there."""
    world = World([limit("one", kind="mail", most=1)])
    for number in range(10_000):
        world.submit(lane(f"tenant-{number}"))
    for _ in range(200):
        world.give_turns()
        world.end_oldest()
    # With a scan for each turn this would be two million looks, and take longer than a test may.
    assert len({name.key for _, name in world.turns}) == 200
