"""An OpenID Connect provider on loopback: it serves its configuration and its keys, and signs tokens."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "https://tasks.example.org"
CONFIGURATION = "/.well-known/openid-configuration"


@dataclass
class IdentityProvider:
    """The provider.

    Attributes:
        issuer: Where it is.
        documents: What it serves, by path, as JSON or as bytes that are none.
        asked: The paths that it was asked for, in order.
        is_answering: Whether it answers at all.
    """

    issuer: str = ""
    documents: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    is_answering: bool = True
    rsa: RSAPrivateKey = field(default_factory=lambda: generate_rsa_key(65_537, 2_048))
    ec: Any = field(default_factory=lambda: generate_private_key(SECP256R1()))
    ed: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def open(self, issuer: str) -> None:
        """Serve what a provider serves."""
        self.issuer = issuer
        rsa = {**json.loads(RSAAlgorithm.to_jwk(self.rsa.public_key())), "kid": "rsa", "alg": "RS256", "use": "sig"}
        ec = {**json.loads(ECAlgorithm.to_jwk(self.ec.public_key())), "kid": "ec"}
        ed = {**json.loads(OKPAlgorithm.to_jwk(self.ed.public_key())), "kid": "ed"}
        self.documents = {
            CONFIGURATION: {"issuer": issuer, "jwks_uri": f"{issuer}/keys"},
            "/keys": {"keys": [rsa, ec, ed]},
        }

    def claims(self, **changes: Any) -> dict[str, Any]:
        """The claims of a good token, with changes; None takes one away."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "ada",
            "iat": now,
            "exp": now + 600,
            "scope": "openid tasks:read tasks:write",
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, algorithm: str = "RS256", *, kid: str | None = "", **changes: Any) -> str:
        """A token, signed with the key for an algorithm."""
        key, name = {"RS256": (self.rsa, "rsa"), "ES256": (self.ec, "ec"), "EdDSA": (self.ed, "ed")}[algorithm]
        headers = {} if kid is None else {"kid": kid or name}
        return jwt.encode(self.claims(**changes), key, algorithm=algorithm, headers=headers)

    def token_signed_with_the_public_key(self) -> str:
        """A token of an attacker's, who has the verifier take the public RSA key for a shared secret."""
        secret = self.rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        signed = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'rsa'})}.{_part(self.claims())}"
        return f"{signed}.{_encoded(hmac.digest(secret, signed.encode(), 'sha256'))}"

    def unsigned_token(self, algorithm: str = "none") -> str:
        """A token without a signature."""
        return f"{_part({'alg': algorithm, 'kid': 'rsa'})}.{_part(self.claims())}."


def _part(value: Mapping[str, Any]) -> str:
    return _encoded(json.dumps(value).encode())


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@asynccontextmanager
async def identity_provider() -> AsyncIterator[IdentityProvider]:
    """Yield a provider that serves."""
    provider = IdentityProvider()
    closing = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode()
            provider.asked.append(path)
            if not provider.is_answering:
                await closing.wait()
            document = provider.documents.get(path)
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
            status = "404 Not Found" if document is None else "200 OK"
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    provider.open(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield provider
    finally:
        closing.set()
        server.close()
        await server.wait_closed()
