"""Tokens of an identity provider, which is a real one on loopback: which hold, and which do not."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from taskmill.gateway.adapters import provider_keys
from taskmill.gateway.adapters.provider_keys import FRESH_SECONDS, REFETCH_SECONDS, STALE_SECONDS, ProviderKeys
from taskmill.gateway.adapters.tokens import LEEWAY_SECONDS, Tokens
from taskmill.gateway.errors import ProviderUnavailableError, UnauthenticatedError
from tests.support.identity_provider import AUDIENCE, CONFIGURATION, IdentityProvider, identity_provider


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        """The time."""
        return self.seconds


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_provider() -> AsyncIterator[IdentityProvider]:
    """One provider for all: to make its keys takes long."""
    async with identity_provider() as provider:
        yield provider


@pytest.fixture
def provider(shared_provider: IdentityProvider) -> IdentityProvider:
    """A provider that serves what it should, and was asked nothing yet."""
    shared_provider.open(shared_provider.issuer)
    shared_provider.is_answering = True
    shared_provider.asked.clear()
    return shared_provider


@pytest.fixture
def clock() -> Clock:
    """The time."""
    return Clock()


def tokens_of(provider: IdentityProvider, clock: Clock, **changes: Any) -> Tokens:
    """What checks tokens of a provider."""
    settings = {
        "issuer": provider.issuer,
        "audience": AUDIENCE,
        "algorithms": ["RS256", "ES256", "EdDSA"],
        "scopes_claim": "scope",
        **changes,
    }
    return Tokens(ProviderKeys(provider.issuer, None, clock=clock), clock=clock, **settings)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_token_says_who_asks_and_what_they_may(
    algorithm: str, provider: IdentityProvider, clock: Clock
) -> None:
    """Its scopes are those that are known; the keys are fetched once."""
    tokens = tokens_of(provider, clock)
    for _ in range(3):
        caller = await tokens.caller(provider.token(algorithm))
    assert caller.name == "token:ada"
    assert caller.scopes == {"tasks:read", "tasks:write"}
    assert caller.valid_until == clock.seconds + 60
    assert 600 <= caller.ends_at - clock.seconds <= 600 + LEEWAY_SECONDS
    assert provider.asked == [CONFIGURATION, "/keys"]


@pytest.mark.parametrize(
    ("claim", "scopes"),
    [
        (["tasks:read", "keys:admin", 7, None], {"tasks:read", "keys:admin"}),
        ("", set()),
        (None, set()),
        ({"tasks:read": True}, set()),
        ("tasks:*", set()),
        ("TASKS:READ", set()),
    ],
)
async def test_scopes_come_from_the_claim_that_is_set(
    claim: Any, scopes: set[str], provider: IdentityProvider, clock: Clock
) -> None:
    """A list or a text; anything else allows nothing."""
    tokens = tokens_of(provider, clock, scopes_claim="permissions")
    assert (await tokens.caller(provider.token(permissions=claim))).scopes == scopes


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": -LEEWAY_SECONDS - 60}, "expired"),
        ({"nbf": LEEWAY_SECONDS + 600}, "not hold yet"),
        ({"iat": LEEWAY_SECONDS + 600}, "not hold yet"),
        ({"aud": "https://other.example.org"}, "somebody else"),
        ({"aud": None}, "claim is missing"),
        ({"iss": "https://attacker.example"}, "another issuer"),
        ({"iss": None}, "claim is missing"),
        ({"exp": None}, "claim is missing"),
        ({"sub": None}, "claim is missing"),
        ({"exp": "never"}, "cannot be verified"),
        ({"exp": float("inf")}, "cannot be verified"),
        ({"sub": 7}, "cannot be verified"),
        ({"kid": "unknown"}, "no key of the provider"),
        ({"kid": "ec"}, "algorithm"),
    ],
)
async def test_a_token_that_does_not_hold_is_refused(
    changes: dict[str, Any], reason: str, provider: IdentityProvider, clock: Clock
) -> None:
    """With a reason that repeats nothing of it. Integers are seconds from now."""
    now = int(time.time())
    instants = {name: now + value for name, value in changes.items() if isinstance(value, int) and name != "sub"}
    token = provider.token(**changes | instants)
    with pytest.raises(UnauthenticatedError, match=reason) as refusal:
        await tokens_of(provider, clock).caller(token)
    assert not any(part in str(refusal.value) for part in token.split("."))


async def test_no_algorithm_but_those_that_are_allowed_is_believed(provider: IdentityProvider, clock: Clock) -> None:
    """Neither `none`, nor a public key taken for a shared secret; and nobody is asked for keys because of them."""
    tokens = tokens_of(provider, clock)
    forged = [
        provider.token_signed_with_the_public_key(),
        *(provider.unsigned_token(name) for name in ("none", "None", "nOnE", "", "HS256")),
    ]
    for token in forged:
        with pytest.raises(UnauthenticatedError):
            await tokens.caller(token)
    assert provider.asked == []
    with pytest.raises(UnauthenticatedError, match="cannot be verified"):
        await tokens.caller(provider.unsigned_token("RS256"))
    with pytest.raises(UnauthenticatedError, match="algorithm"):
        await tokens_of(provider, clock, algorithms=["ES256"]).caller(provider.token("RS256"))


async def test_a_shared_secret_among_the_keys_is_no_key(provider: IdentityProvider, clock: Clock) -> None:
    """Nor is one for encryption, and two of the same id are none either."""
    rsa, ec, _ = provider.documents["/keys"]["keys"]
    provider.documents["/keys"] = {"keys": [{**rsa, "use": "enc"}, ec, ec, {"kty": "oct", "k": "c2VjcmV0", "kid": "x"}]}
    tokens = tokens_of(provider, clock)
    for token in (provider.token("RS256"), provider.token("ES256")):
        with pytest.raises(UnauthenticatedError, match="no key of the provider"):
            await tokens.caller(token)


async def test_a_token_without_the_id_of_its_key_needs_that_there_is_one_key(
    provider: IdentityProvider, clock: Clock
) -> None:
    """None is guessed."""
    token = provider.token("ES256", kid=None)
    with pytest.raises(UnauthenticatedError, match="no key of the provider"):
        await tokens_of(provider, clock).caller(token)
    assert (await tokens_of(provider, clock, algorithms=["ES256"]).caller(token)).name == "token:ada"


async def test_a_new_key_of_the_provider_is_fetched_but_not_for_every_token_that_names_one(
    provider: IdentityProvider, clock: Clock
) -> None:
    """Keys are rotated; and somebody who makes up ids must not have the provider asked again and again."""
    tokens = tokens_of(provider, clock)
    served = provider.documents["/keys"]
    provider.documents["/keys"] = {"keys": served["keys"][1:]}
    for _ in range(3):
        with pytest.raises(UnauthenticatedError):
            await tokens.caller(provider.token("RS256"))
    assert provider.asked.count("/keys") == 1
    provider.documents["/keys"] = served
    clock.seconds += REFETCH_SECONDS
    await tokens.caller(provider.token("RS256"))
    assert provider.asked.count("/keys") == 2


async def test_while_the_provider_is_away_its_keys_do_for_an_hour(provider: IdentityProvider, clock: Clock) -> None:
    """Then nobody is let in: 503, until it is there again."""
    tokens = tokens_of(provider, clock)
    await tokens.caller(provider.token())
    served, provider.documents = provider.documents, {}
    clock.seconds += FRESH_SECONDS + 1
    await tokens.caller(provider.token())
    clock.seconds += STALE_SECONDS
    with pytest.raises(ProviderUnavailableError):
        await tokens.caller(provider.token())
    provider.documents = served
    clock.seconds += REFETCH_SECONDS
    await tokens.caller(provider.token())


async def test_a_provider_that_does_not_answer_is_not_waited_for(
    provider: IdentityProvider, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not longer than some seconds, that is; here a tenth of one."""
    monkeypatch.setattr(provider_keys, "FETCH_SECONDS", 0.1)
    provider.is_answering = False
    with pytest.raises(ProviderUnavailableError):
        await tokens_of(provider, clock).caller(provider.token())


@pytest.mark.parametrize(
    "documents",
    [
        {CONFIGURATION: {"issuer": "https://attacker.example", "jwks_uri": "ISSUER/keys"}},
        {CONFIGURATION: {"issuer": "ISSUER", "jwks_uri": "http://keys.example.org/keys"}},
        {CONFIGURATION: {"issuer": "ISSUER", "jwks_uri": 7}},
        {CONFIGURATION: {"issuer": "ISSUER", "jwks_uri": "file:///etc/passwd"}},
        {CONFIGURATION: []},
        {CONFIGURATION: b"\xff{"},
        {"/keys": {"keys": []}},
        {"/keys": {"keys": ["nonsense", {"kty": "nonsense"}]}},
        {"/keys": b"[" * 300_000},
        {"/keys": b" " * 300_000},
    ],
)
async def test_a_provider_that_serves_nonsense_is_as_one_that_is_away(
    documents: dict[str, Any], provider: IdentityProvider, clock: Clock
) -> None:
    """Another issuer's configuration, keys over plain HTTP, no JSON, no keys, or too much of it."""
    for path, document in documents.items():
        if isinstance(document, dict):
            document = {  # noqa: PLW2901
                name: value.replace("ISSUER", provider.issuer) if isinstance(value, str) else value
                for name, value in document.items()
            }
        provider.documents[path] = document
    with pytest.raises(ProviderUnavailableError):
        await tokens_of(provider, clock).caller(provider.token())


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "..", "a" * 8_000, "\u00ff.\u00ff.\u00ff", "e30.e30.e30"])
async def test_what_is_no_token_is_refused(text: str, provider: IdentityProvider, clock: Clock) -> None:
    """Without asking anybody."""
    with pytest.raises(UnauthenticatedError):
        await tokens_of(provider, clock).caller(text)
    assert provider.asked == []
