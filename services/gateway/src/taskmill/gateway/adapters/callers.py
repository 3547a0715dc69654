"""Who asks, by the credentials of a request."""

import hashlib
import time
from typing import TYPE_CHECKING

from taskmill.gateway.adapters.key_ring import KeyRing, is_key
from taskmill.gateway.domain.callers import Caller, Monotonic
from taskmill.gateway.errors import UnauthenticatedError

if TYPE_CHECKING:  # its libraries take 20 MB, which only those pay who use it
    from taskmill.gateway.adapters.tokens import Tokens

MAX_CREDENTIALS_BYTES = 8 * 1024
"""What `Authorization` may have: a token with many claims."""

MAX_KNOWN = 10_000
"""So many credentials are remembered, as fingerprints."""


class Callers:
    """Tells who asks.

    Args:
        ring: The API keys.
        tokens: Checks bearer tokens that are no API keys; None: they are refused.
        without_credentials: Whoever brings none; None: they are refused.
        are_heeded: Whether credentials that are brought must hold; else everybody is who brings none.
        clock: Tells seconds, monotonic.
    """

    def __init__(
        self,
        ring: KeyRing,
        tokens: "Tokens | None",
        without_credentials: Caller | None,
        *,
        are_heeded: bool = True,
        clock: Monotonic = time.monotonic,
    ) -> None:
        self._ring = ring
        self._tokens = tokens
        self._without_credentials = without_credentials
        self._are_heeded = are_heeded
        self._clock = clock
        # By a fingerprint, so that no credentials lie about in memory.
        self._known: dict[bytes, Caller] = {}

    @property
    def need_credentials(self) -> bool:
        """Whether who brings none is refused."""
        return self._without_credentials is None

    async def caller(self, authorization: bytes | None) -> Caller:
        """Who has some credentials.

        Args:
            authorization: The header of that name; None: there is none.

        Raises:
            UnauthenticatedError: There are none, and some are needed; or they do not hold.
            UnavailableError: They cannot be checked now.
            RemoteError: The store answered with an error.
        """
        if authorization is None or not self._are_heeded:
            if self._without_credentials is None:
                raise UnauthenticatedError
            return self._without_credentials
        # Not by SHA-256, which takes three times as long here.
        fingerprint = hashlib.blake2s(authorization).digest()
        caller = self._known.get(fingerprint)
        if caller is None or caller.valid_until <= self._clock():
            caller = await self._checked(authorization)
            self._remember(fingerprint, caller)
        caller.is_used = True
        self._ring.used.set()
        return caller

    async def _checked(self, authorization: bytes) -> Caller:
        scheme, _, credentials = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            raise UnauthenticatedError("Credentials are brought as `Authorization: Bearer`.", were_given=True)
        if len(authorization) > MAX_CREDENTIALS_BYTES:
            detail = f"Credentials have {MAX_CREDENTIALS_BYTES} bytes at most."
            raise UnauthenticatedError(detail, were_given=True)
        text = credentials.strip(b" ").decode("latin-1")
        if not is_key(text) and self._tokens is not None:
            return await self._tokens.caller(text)
        caller = await self._ring.caller(text)
        if caller is None:
            raise UnauthenticatedError("No API key like this can be used (any more).", were_given=True)
        return caller

    def _remember(self, fingerprint: bytes, caller: Caller) -> None:
        if len(self._known) >= MAX_KNOWN:
            now = self._clock()
            self._known = {known: who for known, who in self._known.items() if who.valid_until > now}
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
        self._known[fingerprint] = caller
