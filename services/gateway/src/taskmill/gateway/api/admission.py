"""Says who may ask for what, before anything of a request is read but its head."""

import ipaddress
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from starlette.types import Scope as AsgiScope

from taskmill.contracts.api_keys import Scope
from taskmill.contracts.errors import OverloadedError, StoreUnavailableError, TaskmillError
from taskmill.gateway.adapters.callers import Callers
from taskmill.gateway.domain.callers import Caller
from taskmill.gateway.errors import (
    CrossSiteRequestError,
    HostNotAllowedError,
    MissingScopeError,
    ProviderUnavailableError,
    RateLimitedError,
    UnauthenticatedError,
)

if TYPE_CHECKING:  # its library is loaded by those who use it
    from taskmill.gateway.adapters.rate_limit import RateLimit

REFUSALS: Final[tuple[type[TaskmillError], ...]] = (
    UnauthenticatedError,
    MissingScopeError,
    CrossSiteRequestError,
    HostNotAllowedError,
    RateLimitedError,
    OverloadedError,
    StoreUnavailableError,
    ProviderUnavailableError,
)
"""What any operation that is not public may be refused with."""

Told = Collection[tuple[bytes, bytes]]
"""Headers that whoever was let in is told, whatever the answer."""

_NOTHING: Told = ()
_CALLER = "taskmill.caller"
_OWN_SITE = frozenset({b"same-origin", b"none"})
_MAX_SEEN_HOSTS = 100
_HOST = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::[0-9]*)?")
_GIVEN_ONCE = (b"host", b"authorization", b"origin", b"sec-fetch-site")


class Admission:
    """Lets requests in.

    Args:
        callers: Tells who asks.
        allowed_hosts: The names that the gateway answers under, without a port; `*`: any; None: those that nobody can
            have given it who means harm, if it lets in who brings no credentials, or else any.
        rate_limit: How often somebody may ask; None: as often as they like.
    """

    def __init__(
        self, callers: Callers, *, allowed_hosts: Collection[str] | None = None, rate_limit: "RateLimit | None" = None
    ) -> None:
        self._callers = callers
        is_any_host = "*" in allowed_hosts if allowed_hosts else callers.need_credentials
        self._allowed_hosts = None if is_any_host else [host.lower() for host in allowed_hosts or ()]
        # Most requests come to the same: as it was written, with its port.
        self._seen_hosts: set[bytes] = set()
        self._rate_limit = rate_limit

    @property
    def needs_credentials(self) -> bool:
        """Whether who brings none is refused."""
        return self._callers.need_credentials

    async def admit(self, scope: AsgiScope, needed: Scope) -> Told:
        """Let a request in; who asks goes into its scope, for `caller_of`.

        Args:
            scope: The request's.
            needed: What it takes.

        Raises:
            HostNotAllowedError: It was sent to another name.
            CrossSiteRequestError: A page of another site has it sent.
            UnauthenticatedError: Nobody knows who asks.
            MissingScopeError: Who asks may not.
            RateLimitedError: They have asked as often as they may.
            UnavailableError: That cannot be found out now.
        """
        headers = dict(scope["headers"])
        if len(headers) != len(scope["headers"]):
            _check_repeated(scope["headers"])
        host = headers.get(b"host", b"")
        if self._allowed_hosts is not None and host not in self._seen_hosts:
            self._check_host(host, self._allowed_hosts)
        site = headers.get(b"sec-fetch-site")
        if site is not None or b"origin" in headers:
            _check_site(site, headers.get(b"origin"), host)
        caller = await self._callers.caller(headers.get(b"authorization"))
        if needed not in caller.scopes:
            raise MissingScopeError(needed)
        scope[_CALLER] = caller
        if self._rate_limit is None:
            return _NOTHING
        told = await self._rate_limit.count(caller.name)
        return [(name.lower().encode(), value.encode()) for name, value in told.items()]

    def _check_host(self, host: bytes, allowed: Collection[str]) -> None:
        name = _without_port(host.decode("latin-1")).lower()
        if name not in allowed if allowed else not _is_nobodys(name):
            raise HostNotAllowedError
        if len(self._seen_hosts) < _MAX_SEEN_HOSTS:
            self._seen_hosts.add(host)


def caller_of(scope: AsgiScope) -> Caller:
    """Who asks, of a request that was let in."""
    caller: Caller = scope[_CALLER]
    return caller


def known_caller(scope: AsgiScope) -> Caller | None:
    """Who asks; None: nobody has looked."""
    caller: Caller | None = scope.get(_CALLER)
    return caller


def _check_repeated(headers: Told) -> None:
    """Refuse what says two things of who asks, or where: a proxy may have looked at the other one."""
    names = [name for name, _ in headers]
    host, authorization, *site = (names.count(name) > 1 for name in _GIVEN_ONCE)
    if host:
        raise HostNotAllowedError
    if authorization:
        raise UnauthenticatedError("`Authorization` may be given once.", were_given=True)
    if any(site):
        raise CrossSiteRequestError


def _check_site(site: bytes | None, origin: bytes | None, host: bytes) -> None:
    """Refuse what a page of another site has sent. Browsers say so; nobody else sends these headers.

    https://www.w3.org/TR/fetch-metadata/
    """
    if site is not None:
        if site not in _OWN_SITE:
            raise CrossSiteRequestError
    elif origin is not None and origin.partition(b"://")[2] != host:
        raise CrossSiteRequestError


def _without_port(host: str) -> str:
    """The name; nothing, if it is none."""
    parts = _HOST.fullmatch(host)
    return "" if parts is None else parts[1] or parts[2] or ""


def _is_nobodys(name: str) -> bool:
    """Whether a name is none that somebody could have bought, and made to lead to this machine (DNS rebinding)."""
    if name == "localhost" or name.endswith(".localhost") or (name and "." not in name and ":" not in name):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
