"""HTTP to anywhere, except to where only this machine or its network can reach."""

from collections.abc import Callable
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from ssl import SSLContext
from typing import TYPE_CHECKING

from taskmill.processor.adapters.name_lookups import IpAddress, NameLookups

if TYPE_CHECKING:
    import httpx

MAX_REDIRECTS = 5

_NAT64 = IPv6Network("64:ff9b::/96")


def is_public_address(address: IpAddress) -> bool:
    """Whether an address is reachable from everywhere: not loopback, private, link-local, shared or multicast.

    An IPv6 address that stands for an IPv4 address (mapped, NAT64, 6to4, Teredo) is judged by that.
    """
    if isinstance(address, IPv6Address):
        embedded = _embedded_address(address)
        if embedded is not None:
            return is_public_address(embedded)
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _embedded_address(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour


class GuardedHttp:
    """Makes clients that refuse addresses, for each redirect anew.

    A name is looked up, what it stands for is checked, and one of the addresses that passed is connected to: checking
    the name before the request would not do, for it may stand for another address a moment later. To an address that is
    refused no connection is made, so nobody learns whether anything is there.

    Args:
        is_allowed: Which addresses may be connected to; None: all.
        names: Looks names up; None: as the system does.
        ssl_context: Which certificates are trusted; None: those that browsers trust.
    """

    def __init__(
        self,
        is_allowed: Callable[[IpAddress], bool] | None,
        names: NameLookups | None = None,
        *,
        ssl_context: SSLContext | None = None,
    ) -> None:
        self._is_allowed = is_allowed
        self._names = names or NameLookups()
        self._given_ssl_context = ssl_context

    def client(self) -> "httpx.AsyncClient":
        """A client for one task: neither cookies nor connections are shared between tasks.

        It has no timeouts of its own: whoever uses it sets a deadline over all.

        Requests raise what httpx does, and `AddressRefusedError`.
        """
        # Here, because it loads httpx.
        from taskmill.processor.adapters.guarded_transport import guarded_client  # noqa: PLC0415

        return guarded_client(self._names, self._is_allowed, self._ssl_context, max_redirects=MAX_REDIRECTS)

    @cached_property
    def _ssl_context(self) -> SSLContext:
        from taskmill.processor.adapters.guarded_transport import trusted_certificates  # noqa: PLC0415

        # Reading the certificate authorities takes longer than many a request.
        return self._given_ssl_context or trusted_certificates()
