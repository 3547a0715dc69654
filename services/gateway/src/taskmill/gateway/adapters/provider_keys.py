"""The keys that an OpenID Connect provider signs with: a JSON Web Key Set (RFC 7517), fetched seldom."""

import asyncio
import ssl
import time
from collections.abc import Collection
from typing import Any

import httpx
import jwt
import structlog
from pydantic_core import from_json

from taskmill.gateway.domain.callers import Monotonic
from taskmill.gateway.errors import ProviderUnavailableError

_log = structlog.get_logger(__name__)

FRESH_SECONDS = 300.0
"""A set is fetched again when it is older."""

STALE_SECONDS = 3_600.0
"""While the provider does not answer, a set is used for so long."""

REFETCH_SECONDS = 10.0
"""A key that is not known has the set fetched again, but not more often."""

FETCH_SECONDS = 4.0
MAX_DOCUMENT_BYTES = 256 * 1024


class ProviderKeys:
    """The provider's keys.

    Args:
        issuer: The provider, whose `/.well-known/openid-configuration` says where its keys are.
        url: Where they are; None: it is asked.
        clock: Tells seconds, monotonic.
    """

    def __init__(self, issuer: str, url: str | None, *, clock: Monotonic = time.monotonic) -> None:
        self._issuer = issuer
        self._url = url
        self._clock = clock
        self._keys: list[jwt.PyJWK] = []
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()
        self._tls: ssl.SSLContext | None = None

    async def key(self, key_id: object, algorithms: Collection[str]) -> jwt.PyJWK | None:
        """The key of an id; without one, the only key. None: there is none.

        Args:
            key_id: What a token says, which may be anything.
            algorithms: Those that count.

        Raises:
            ProviderUnavailableError: None can be had.
        """
        if self._clock() - self._fetched_at > FRESH_SECONDS:
            await self._refetch()
        found = self._find(key_id, algorithms)
        if found is None:
            # The provider may have changed its keys.
            await self._refetch()
            found = self._find(key_id, algorithms)
        return found

    def _find(self, key_id: object, algorithms: Collection[str]) -> jwt.PyJWK | None:
        fitting = [
            key
            for key in self._keys
            if key.algorithm_name in algorithms
            and key.public_key_use in {None, "sig"}
            and (key_id is None or key.key_id == key_id)
        ]
        return fitting[0] if len(fitting) == 1 else None

    async def _refetch(self) -> None:
        async with self._fetching:
            now = self._clock()
            if now - self._tried_at >= REFETCH_SECONDS:
                self._tried_at = now
                try:
                    self._keys = await self._fetched()
                    self._fetched_at = now
                except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, jwt.PyJWTError, ValueError) as error:
                    # Neither its text nor where it was fetched: whoever runs the provider knows.
                    _log.warning("oidc.keys_not_fetched", error_type=type(error).__name__)
        if self._clock() - self._fetched_at > STALE_SECONDS:
            self._keys = []
            raise ProviderUnavailableError

    async def _fetched(self) -> list[jwt.PyJWK]:
        if self._tls is None:
            # Reading the certificates of the world takes a tenth of a second: once is enough.
            self._tls = await asyncio.to_thread(httpx.create_ssl_context)
        async with (
            asyncio.timeout(FETCH_SECONDS),
            httpx.AsyncClient(timeout=FETCH_SECONDS, follow_redirects=False, verify=self._tls) as client,
        ):
            url = self._url
            if url is None:
                configuration = await _document(client, f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
                url = configuration.get("jwks_uri")
                if configuration.get("issuer") != self._issuer or not is_safe_url(url):
                    raise ValueError("this is the configuration of another issuer")
            return jwt.PyJWKSet.from_dict(await _document(client, str(url))).keys


async def _document(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """A JSON object from the web, if it is not too large."""
    async with client.stream("GET", url, headers={"Accept": "application/json"}) as response:
        if response.status_code != httpx.codes.OK:
            raise ValueError(f"answered with {response.status_code}")
        body = b""
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_DOCUMENT_BYTES:
                raise ValueError("too large")
    document = from_json(body)
    if not isinstance(document, dict):
        raise ValueError("no object")  # noqa: TRY004 -- it was read, not passed
    return document


def is_safe_url(url: object) -> bool:
    """Whether nobody between can change what is read there: HTTPS, or this machine."""
    if not isinstance(url, str):
        return False
    parsed = httpx.URL(url)
    is_here = parsed.host in {"127.0.0.1", "::1", "localhost"}
    return bool(parsed.host) and (parsed.scheme == "https" or (parsed.scheme == "http" and is_here))
