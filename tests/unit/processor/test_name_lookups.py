"""Looking up names: one whose server is silent holds up nobody."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from taskmill.processor.adapters.name_lookups import NameLookups
from tests.support.eventually import eventually

ADDRESS = "192.0.2.1"


class SilentServer:
    """Answers for names that begin with `good`, and for the others when it is told to."""

    def __init__(self) -> None:
        self.asked: Counter[bytes] = Counter()
        self.speaks = threading.Event()

    def __call__(self, host: bytes) -> list[str]:
        """Look a name up."""
        self.asked[host] += 1
        if not host.startswith(b"good"):
            assert self.speaks.wait(30)
        return [ADDRESS, ADDRESS]


@pytest.fixture
def server() -> Iterator[SilentServer]:
    """A server whose threads end with the test."""
    server = SilentServer()
    yield server
    server.speaks.set()


async def test_a_silent_server_holds_up_its_own_names_only(server: SilentServer) -> None:
    """However many there are: asyncio's own threads would be used up."""
    names = NameLookups(server)
    silent = [asyncio.create_task(names.addresses(b"silent-%d" % number)) for number in range(40)]
    await eventually(lambda: len(server.asked) == 40, within_seconds=10)
    async with asyncio.timeout(10):
        assert await names.addresses(b"good.example") == [ip_address(ADDRESS)]
    server.speaks.set()
    assert await asyncio.gather(*silent) == [[ip_address(ADDRESS)]] * 40


async def test_a_name_is_asked_for_once_at_a_time(server: SilentServer) -> None:
    """Whoever gives up leaves it to the others."""
    names = NameLookups(server)
    impatient, patient = (asyncio.create_task(names.addresses(b"silent")) for _ in range(2))
    await eventually(lambda: server.asked[b"silent"] == 1, within_seconds=10)
    impatient.cancel()
    server.speaks.set()
    assert await patient == [ip_address(ADDRESS)]
    assert impatient.cancelled()
    assert server.asked == {b"silent": 1}
    await names.addresses(b"silent")
    assert server.asked == {b"silent": 2}


async def test_lookups_are_bounded(server: SilentServer) -> None:
    """Beyond the bound they wait for as long as who asks does."""
    names = NameLookups(server, max_lookups=1)
    silent = asyncio.create_task(names.addresses(b"silent"))
    await eventually(lambda: server.asked[b"silent"] == 1, within_seconds=10)
    waiting = asyncio.create_task(names.addresses(b"good"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.05)
    assert server.asked == {b"silent": 1}
    server.speaks.set()
    assert await silent == await waiting


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
async def test_an_address_is_not_looked_up(server: SilentServer, address: str) -> None:
    """It stands for itself."""
    assert await NameLookups(server).addresses(address.encode()) == [ip_address(address)]
    assert server.asked == {}
