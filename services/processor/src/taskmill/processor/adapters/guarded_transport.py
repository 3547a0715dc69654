"""What sends the requests of `guarded_http`, and loads httpx: only processors that send some need it in memory."""

from collections.abc import Callable
from ssl import SSLContext

import httpx

from taskmill.processor.adapters.name_lookups import IpAddress, NameLookups
from taskmill.processor.errors import AddressRefusedError

ADDRESS_SECONDS = 5.0
"""After so long the next address of a name is tried, if it has one."""


def trusted_certificates() -> SSLContext:
    """Those that browsers trust."""
    return httpx.create_ssl_context(trust_env=False)


def guarded_client(
    names: NameLookups,
    is_allowed: Callable[[IpAddress], bool] | None,
    ssl_context: SSLContext,
    *,
    max_redirects: int,
) -> httpx.AsyncClient:
    """A client whose requests go to addresses that are allowed, and nowhere else."""
    # Without connections that are kept: two names may stand for one address.
    limits = httpx.Limits(max_keepalive_connections=0)
    # A proxy from the environment would connect in our place, unchecked.
    direct = httpx.AsyncHTTPTransport(verify=ssl_context, trust_env=False, limits=limits)
    return httpx.AsyncClient(
        transport=_Guard(direct, names, is_allowed),
        timeout=None,  # noqa: S113 -- whoever uses it sets a deadline over all  # nosec B113
        follow_redirects=True,
        max_redirects=max_redirects,
        headers={"Accept-Encoding": "gzip, deflate", "User-Agent": "taskmill"},
        trust_env=False,
    )


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
