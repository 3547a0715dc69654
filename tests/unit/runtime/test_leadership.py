import asyncio

from taskmill.runtime.leadership import Leadership
from tests.support.actors import running
from tests.support.eventually import eventually

TTL_SECONDS = 0.15


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def monotonic(self) -> float:
        """The time, in seconds."""
        return self.seconds


class SharedLease:
    """A lease in memory, by the event loop's clock; it can be made to fail or to hang."""

    def __init__(self) -> None:
        self.owner: str | None = None
        self.until = 0.0
        self.is_failing = False
        self.is_hanging = False
        self.calls = 0

    async def acquire(self, owner: str, ttl_seconds: float) -> bool:
        """Take or renew the lease."""
        self.calls += 1
        if self.is_hanging:
            await asyncio.Event().wait()
        if self.is_failing:
            raise ConnectionError
        now = asyncio.get_running_loop().time()
        if self.owner not in {None, owner} and self.until > now:
            return False
        self.owner, self.until = owner, now + ttl_seconds
        return True

    async def release(self, owner: str) -> None:
        """Give the lease back."""
        if self.owner == owner:
            self.owner = None


async def test_of_two_owners_one_leads_and_the_other_follows_its_drain() -> None:
    """There is never more than one leader; a leader that drains hands over at once."""
    lease = SharedLease()
    async with running(Leadership("first", lease, "a", ttl_seconds=30)) as first:
        await first.wait_until_leader()
        async with running(Leadership("second", lease, "b", ttl_seconds=TTL_SECONDS)) as second:
            calls = lease.calls
            await eventually(lambda: lease.calls > calls + 2)
            assert first.is_leader
            assert not second.is_leader
            first.stop()
            await second.wait_until_leader()
            assert not first.is_leader
            assert lease.owner == "b"


async def test_a_leader_that_died_is_followed_once_its_lease_has_run_out() -> None:
    """A stopped leader does not hold on to its lease."""
    lease = SharedLease()
    assert await lease.acquire("dead", TTL_SECONDS)
    async with running(Leadership("heir", lease, "b", ttl_seconds=TTL_SECONDS)) as heir:
        assert not heir.is_leader
        async with asyncio.timeout(5):
            await heir.wait_until_leader()
        assert lease.owner == "b"


async def test_leadership_ends_by_the_local_clock() -> None:
    """A leader whose renewals fail stops leading when its lease may have run out, and not before."""
    lease, clock = SharedLease(), Clock()
    async with running(Leadership("leader", lease, "a", ttl_seconds=0.3, monotonic=clock.monotonic)) as leader:
        await leader.wait_until_leader()
        lease.is_failing = True
        calls = lease.calls
        await eventually(lambda: lease.calls > calls + 1)
        clock.seconds += 0.2
        assert leader.is_leader
        clock.seconds += 0.2
        assert not leader.is_leader
        lease.is_failing = False
        async with asyncio.timeout(5):
            await leader.wait_until_leader()


async def test_a_renewal_that_hangs_is_given_up() -> None:
    """A store that does not answer does not keep the actor from asking again, nor from draining."""
    lease = SharedLease()
    lease.is_hanging = True
    async with running(Leadership("leader", lease, "a", ttl_seconds=TTL_SECONDS)) as leader:
        await eventually(lambda: lease.calls >= 2)
        assert not leader.is_leader


async def test_a_lost_lease_is_noticed() -> None:
    """When another holds the lease, leadership ends with the next renewal."""
    lease = SharedLease()
    async with running(Leadership("leader", lease, "a", ttl_seconds=TTL_SECONDS)) as leader:
        await leader.wait_until_leader()
        lease.owner, lease.until = "b", asyncio.get_running_loop().time() + 60
        await eventually(lambda: not leader.is_leader)
    assert lease.owner == "b"


async def test_a_leader_that_doubts_asks_at_once() -> None:
    """It does not lead until it has the lease again; if another has it, that one leads."""
    lease = SharedLease()
    async with running(Leadership("leader", lease, "a", ttl_seconds=60, look_seconds=0.01)) as leader:
        await leader.wait_until_leader()
        leader.doubt()
        assert not leader.is_leader
        async with asyncio.timeout(5):
            await leader.wait_until_leader()
        lease.owner, lease.until = "b", asyncio.get_running_loop().time() + 60
        leader.doubt()
        calls = lease.calls
        await eventually(lambda: lease.calls > calls + 2)
        assert not leader.is_leader
        assert lease.owner == "b"


async def test_who_does_not_lead_looks_often() -> None:
    """A lease that is given up is had long before it would be renewed."""
    lease = SharedLease()
    lease.owner, lease.until = "b", asyncio.get_running_loop().time() + 60
    async with running(Leadership("heir", lease, "a", ttl_seconds=60, look_seconds=0.01)) as heir:
        await eventually(lambda: lease.calls > 3)
        await lease.release("b")
        async with asyncio.timeout(5):
            await heir.wait_until_leader()
