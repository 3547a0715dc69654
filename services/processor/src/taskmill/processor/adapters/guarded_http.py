"""HTTP to anywhere, except to where only this machine or its network can reach."""

from collections.abc import Callable
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from ssl import SSLContext

import httpx
from httpx_secure import httpx_ssrf_protection

MAX_REDIRECTS = 5

IpAddress = IPv4Address | IPv6Address

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
    """Makes clients that refuse addresses, checked on the address really connected to, for each redirect anew.

    Checking the name before the request would not do: it may resolve to another address a moment later.

    Args:
        is_allowed: Which addresses may be connected to; None: all.
    """

    def __init__(self, is_allowed: Callable[[IpAddress], bool] | None) -> None:
        self._is_allowed = is_allowed

    def client(self) -> httpx.AsyncClient:
        """A client for one task: neither cookies nor connections are shared between tasks.

        It has no timeouts of its own: whoever uses it sets a deadline over all.
        """
        client = httpx.AsyncClient(
            verify=self._ssl_context,
            timeout=None,  # noqa: S113 -- see above
            follow_redirects=True,
            max_redirects=MAX_REDIRECTS,
            headers={"Accept-Encoding": "gzip, deflate", "User-Agent": "taskmill"},
            # A proxy from the environment would connect in our place, unchecked.
            trust_env=False,
        )
        if self._is_allowed is None:
            return client
        is_allowed = self._is_allowed
        return httpx_ssrf_protection(
            client, check_globally_reachable=False, custom_validator=lambda _host, address, _port: is_allowed(address)
        )

    @cached_property
    def _ssl_context(self) -> SSLContext:
        # Reading the certificate authorities takes longer than many a request.
        return httpx.create_ssl_context(trust_env=False)
