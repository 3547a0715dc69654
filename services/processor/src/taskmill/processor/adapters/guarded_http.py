"""HTTP to anywhere, except to where only this machine or its network can reach."""

from collections.abc import Callable
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from ssl import SSLContext

import httpx

from taskmill.processor.adapters.name_lookups import IpAddress, NameLookups
from taskmill.processor.errors import AddressRefusedError

MAX_REDIRECTS = 5

ADDRESS_SECONDS = 5.0
"""After so long the next address of a name is tried, if it has one."""

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

    def client(self) -> httpx.AsyncClient:
        """A client for one task: neither cookies nor connections are shared between tasks.

        It has no timeouts of its own: whoever uses it sets a deadline over all.

        Requests raise what httpx does, and `AddressRefusedError`.
        """
        # Without connections that are kept: two names may stand for one address.
        limits = httpx.Limits(max_keepalive_connections=0)
        # A proxy from the environment would connect in our place, unchecked.
        direct = httpx.AsyncHTTPTransport(verify=self._ssl_context, trust_env=False, limits=limits)
        return httpx.AsyncClient(
            transport=_Guard(direct, self._names, self._is_allowed),
            timeout=None,  # noqa: S113 -- see above  # nosec B113
            follow_redirects=True,
            max_redirects=MAX_REDIRECTS,
            headers={"Accept-Encoding": "gzip, deflate", "User-Agent": "taskmill"},
            trust_env=False,
        )

    @cached_property
    def _ssl_context(self) -> SSLContext:
        # Reading the certificate authorities takes longer than many a request.
        return self._given_ssl_context or httpx.create_ssl_context(trust_env=False)


class _Guard(httpx.AsyncBaseTransport):
    """Sends each request to an address that is allowed, under the name that it was meant for."""

    def __init__(
        self, direct: httpx.AsyncBaseTransport, names: NameLookups, is_allowed: Callable[[IpAddress], bool] | None
    ) -> None:
        self._direct = direct
        self._names = names
        self._is_allowed = is_allowed

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            found = await self._names.addresses(request.url.raw_host)
        except OSError as error:
            raise httpx.ConnectError("The name stands for no address.", request=request) from error
        *others, last = self._allowed(found)
        for address in others:
            try:
                return await self._send(_aimed(request, address, ADDRESS_SECONDS))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                # Nothing was sent yet.
                continue
        return await self._send(_aimed(request, last, None))

    async def aclose(self) -> None:
        await self._direct.aclose()

    async def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._direct.handle_async_request(request)
        except (OSError, AttributeError) as error:
            # Of a connection that is reset right after it was made, anyio has no socket any more to tell of.
            raise httpx.ConnectError("The connection was reset.", request=request) from error

    def _allowed(self, found: list[IpAddress]) -> list[IpAddress]:
        allowed = [address for address in found if self._is_allowed is None or self._is_allowed(address)]
        if not allowed:
            raise AddressRefusedError
        return allowed


def _aimed(request: httpx.Request, address: IpAddress, connect_seconds: float | None) -> httpx.Request:
    """The same request to an address. Its header `Host`, and the name on the certificate, stay what they were."""
    timeout = {**request.extensions.get("timeout", {}), "connect": connect_seconds}
    return httpx.Request(
        request.method,
        request.url.copy_with(host=str(address)),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "timeout": timeout, "sni_hostname": request.url.raw_host.decode("ascii")},
    )
