"""Names of machines, looked up in threads of their own."""

import asyncio
import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

from taskmill.sdk.calling.daemon_threads import DaemonThreads

IpAddress = IPv4Address | IPv6Address

MAX_LOOKUPS = 64
"""How many names are looked up at the same time; others wait, for as long as who asks has time."""


def system_lookup(host: bytes) -> list[str]:
    """The addresses of a name as the system has it, the best first; also of spellings such as `127.1`.

    Raises:
        OSError: It has none, or nobody could be asked.
    """
    # As bytes: of a text, Python would make IDNA first, which raises something else for what is none.
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class NameLookups:
    """Looks up names, each once at a time, whoever asks.

    A name whose server is silent holds a thread for half a minute, and cannot be cancelled. In the few threads that
    asyncio has for this, some such names would hold up everybody.

    Args:
        lookup: Asks, and blocks meanwhile.
        max_lookups: How many names at the same time.
    """

    def __init__(self, lookup: Callable[[bytes], list[str]] = system_lookup, *, max_lookups: int = MAX_LOOKUPS) -> None:
        self._lookup = lookup
        self._threads = DaemonThreads("lookup")
        self._free = asyncio.Semaphore(max_lookups)
        self._pending: dict[bytes, asyncio.Task[list[IpAddress]]] = {}

    async def addresses(self, host: bytes) -> list[IpAddress]:
        """The addresses that a name stands for; of an address, itself. May take long: to be called with a deadline.

        Raises:
            OSError: It stands for none.
        """
        try:
            return [ip_address(host.decode("ascii"))]
        except ValueError:
            pass
        if (lookup := self._pending.get(host)) is None:
            lookup = self._pending[host] = asyncio.create_task(self._look_up(host))
            lookup.add_done_callback(lambda done: self._forget(host, done))
        # Others may still wait for it when this one gives up.
        return await asyncio.shield(lookup)

    async def _look_up(self, host: bytes) -> list[IpAddress]:
        async with self._free:
            found = await asyncio.wrap_future(self._threads.submit(self._lookup, host))
        return [ip_address(address) for address in dict.fromkeys(found)]

    def _forget(self, host: bytes, lookup: asyncio.Task[list[IpAddress]]) -> None:
        del self._pending[host]
        if not lookup.cancelled():
            # Read, or Python would complain when everybody had given up.
            lookup.exception()
