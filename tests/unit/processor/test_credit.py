"""Free slots are shared by weight, and nobody is forgotten."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from taskmill.contracts.status import Priority
from taskmill.processor.domain.credit import PRIORITY_WEIGHTS, CreditShares, Lane

LANES = [Lane("q", priority) for priority in Priority]
some_lanes = st.sets(st.builds(Lane, st.sampled_from(["a", "b", "c"]), st.sampled_from(Priority)), min_size=1)


def shares_of(*lanes: Lane) -> CreditShares:
    """Shares in which these lanes have a backlog."""
    shares = CreditShares()
    for lane in lanes:
        shares.set_backlogged(lane)
    return shares


def test_slots_that_come_in_bulk_are_shared_by_weight() -> None:
    """15 slots are 8, 4, 2 and 1."""
    assert shares_of(*LANES).share_out(15) == dict(zip(LANES, (8, 4, 2, 1), strict=True))


def test_slots_that_come_one_by_one_are_shared_by_weight() -> None:
    """Over 150 single slots the low priority gets its 10."""
    shares = shares_of(*LANES)
    granted: Counter[Lane] = Counter()
    for _ in range(150):
        granted.update(shares.share_out(1))
    assert [granted[lane] for lane in LANES] == [80, 40, 20, 10]


def test_a_lane_alone_gets_everything() -> None:
    """Whatever its weight."""
    low = Lane("q", Priority.LOW)
    assert shares_of(low).share_out(100) == {low: 100}


def test_queues_count_the_same() -> None:
    """A queue with only low tasks gets as much as one with critical ones."""
    critical, low = Lane("a", Priority.CRITICAL), Lane("b", Priority.LOW)
    assert shares_of(critical, low).share_out(10) == {critical: 5, low: 5}


def test_nothing_is_shared_without_slots_or_backlog() -> None:
    """No slots, or nobody who wants them."""
    assert shares_of(*LANES).share_out(0) == {}
    assert shares_of(*LANES).share_out(-3) == {}
    assert CreditShares().share_out(10) == {}


def test_an_idle_lane_saves_nothing_up() -> None:
    """A lane that had no backlog for long gets no more than its part when it has one again."""
    critical, low = Lane("q", Priority.CRITICAL), Lane("q", Priority.LOW)
    shares = shares_of(critical, low)
    shares.set_idle(low)
    for _ in range(100):
        shares.share_out(1)
    shares.set_backlogged(low)
    granted: Counter[Lane] = Counter()
    for _ in range(9):
        granted.update(shares.share_out(1))
    assert granted[low] == 1


@given(lanes=some_lanes, rounds=st.lists(st.integers(1, 50), min_size=1, max_size=60))
def test_everything_is_given_out_and_every_lane_gets_its_part(lanes: set[Lane], rounds: list[int]) -> None:
    """All slots are given out each time, and over time no lane is more than its rounding away from its part."""
    shares = shares_of(*sorted(lanes))
    granted: Counter[Lane] = Counter()
    for slots in rounds:
        grants = shares.share_out(slots)
        assert sum(grants.values()) == slots
        assert {name: grant for name, grant in grants.items() if grant <= 0} == {}
        granted.update(grants)
    queues = {lane.queue for lane in lanes}
    for lane in lanes:
        queue_weight = sum(PRIORITY_WEIGHTS[other.priority] for other in lanes if other.queue == lane.queue)
        part = sum(rounds) * PRIORITY_WEIGHTS[lane.priority] / queue_weight / len(queues)
        assert abs(granted[lane] - part) <= len(lanes)


@given(changes=st.lists(st.tuples(st.sampled_from(LANES), st.booleans(), st.integers(0, 20)), min_size=1, max_size=200))
def test_lanes_may_come_and_go(changes: list[tuple[Lane, bool, int]]) -> None:
    """Whatever happened before, all slots go to lanes with a backlog."""
    shares = CreditShares()
    backlogged: set[Lane] = set()
    for lane, has_backlog, slots in changes:
        if has_backlog:
            shares.set_backlogged(lane)
            backlogged.add(lane)
        else:
            shares.set_idle(lane)
            backlogged.discard(lane)
        grants = shares.share_out(slots)
        assert set(shares.backlogged) == backlogged
        assert set(grants) <= backlogged
        assert sum(grants.values()) == (slots if backlogged else 0)
