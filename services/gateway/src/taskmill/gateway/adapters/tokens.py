"""Bearer tokens of an OpenID Connect provider: JSON Web Tokens, signed with one of its keys (RFC 9068, RFC 8725)."""

import time
from collections.abc import Sequence
from typing import Any

import jwt

from taskmill.contracts.api_keys import ALL_SCOPES
from taskmill.gateway.adapters.provider_keys import ProviderKeys
from taskmill.gateway.domain.callers import Caller, Monotonic
from taskmill.gateway.errors import UnauthenticatedError

LEEWAY_SECONDS = 30
"""By how much the clocks of provider and gateway may differ."""

MAX_BELIEVED_SECONDS = 60.0
"""A token is checked anew so often, in case its key was withdrawn."""

MAX_SUBJECT_CHARS = 200

_KNOWN_SCOPES = frozenset(scope.value for scope in ALL_SCOPES)

_REASONS: dict[type[jwt.InvalidTokenError], str] = {
    jwt.ExpiredSignatureError: "it has expired",
    jwt.ImmatureSignatureError: "it does not hold yet",
    jwt.InvalidAudienceError: "it is meant for somebody else",
    jwt.InvalidIssuerError: "it comes from another issuer",
    jwt.MissingRequiredClaimError: "a claim is missing: exp, iss, aud and sub are needed",
    jwt.InvalidAlgorithmError: "its algorithm is not one of those that are taken",
}


class Tokens:
    """Checks tokens.

    Args:
        keys: The provider's.
        issuer: Who must have issued them.
        audience: Whom they must be meant for.
        algorithms: Those that may have signed them: asymmetric ones only.
        scopes_claim: The claim with the scopes: a list, or a text with spaces between.
        clock: Tells seconds, monotonic.
        wall_clock: Tells seconds since 1970, which tokens expire by.
    """

    def __init__(
        self,
        keys: ProviderKeys,
        *,
        issuer: str,
        audience: str,
        algorithms: Sequence[str],
        scopes_claim: str,
        clock: Monotonic = time.monotonic,
        wall_clock: Monotonic = time.time,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._algorithms = list(algorithms)
        self._scopes_claim = scopes_claim
        self._clock = clock
        self._wall_clock = wall_clock

    async def caller(self, token: str) -> Caller:
        """Who has a token.

        Raises:
            UnauthenticatedError: It does not hold.
            ProviderUnavailableError: The provider's keys cannot be had.
        """
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise UnauthenticatedError("The credentials are neither an API key nor a token.", were_given=True) from None
        if header.get("alg") not in self._algorithms:
            # Before anybody is asked for keys.
            raise _refusal(jwt.InvalidAlgorithmError())
        key = await self._keys.key(header.get("kid"), self._algorithms)
        if key is None:
            raise UnauthenticatedError("The token is signed with no key of the provider's.", were_given=True)
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=self._algorithms,
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, ArithmeticError, ValueError, TypeError) as error:
            raise _refusal(error) from None
        now = self._clock()
        ends_at = now + float(claims["exp"]) + LEEWAY_SECONDS - self._wall_clock()
        return Caller(
            f"token:{_printable(claims['sub'][:MAX_SUBJECT_CHARS])}",
            self._scopes(claims),
            valid_until=min(ends_at, now + MAX_BELIEVED_SECONDS),
            ends_at=ends_at,
        )

    def _scopes(self, claims: dict[str, Any]) -> frozenset[str]:
        given = claims.get(self._scopes_claim, ())
        scopes = given.split() if isinstance(given, str) else given
        if not isinstance(scopes, (list, tuple)):
            return frozenset()
        return _KNOWN_SCOPES.intersection(scope for scope in scopes if isinstance(scope, str))


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _refusal(error: Exception) -> UnauthenticatedError:
    reason = next((text for kind, text in _REASONS.items() if isinstance(error, kind)), "it cannot be verified")
    return UnauthenticatedError(f"The token is worth nothing here: {reason}.", were_given=True)
