"""Servers with TLS: an authority with certificates, and what ends TLS before PostgreSQL."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from taskmill.cli.embedded.nats import NatsServer
from taskmill.cli.embedded.ports import LOOPBACK
from tests.support.forwarding import Connections, join

_SSL_REQUEST = bytes.fromhex("0000000804d2162f")
"""What a client of PostgreSQL asks first that wants TLS: its length, and a code (protocol, 54.2.11)."""

_ACCEPTED = b"S"
_VALID = timedelta(hours=1)


class Certificate(NamedTuple):
    """A certificate of a server, and its key.

    Attributes:
        authority: The certificate of who signed it.
        chain: Its own.
        key: Its key.
    """

    authority: Path
    chain: Path
    key: Path


def make_certificate(directory: Path, address: str = LOOPBACK) -> Certificate:
    """Make an authority that nobody else knows, and have it sign a certificate for an IP address.

    Args:
        directory: Where the three files go; it must exist.
        address: Whose certificate it is.
    """
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _builder("Test authority", "Test authority", authority_key.public_key())
    authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    server = _builder("Test authority", "Test server", key.public_key())
    server = server.add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(address))]), critical=False)
    made = Certificate(directory / "authority.pem", directory / "server.pem", directory / "server.key")
    for path, builder in ((made.authority, authority), (made.chain, server)):
        path.write_bytes(builder.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    unencrypted = serialization.NoEncryption()
    made.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unencrypted))
    return made


def _builder(issuer: str, subject: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        issuer_name=_name(issuer),
        subject_name=_name(subject),
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - _VALID,
        not_valid_after=now + _VALID,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class TlsNatsServer(NatsServer):
    """A nats-server that is reached by TLS only.

    Args:
        data_dir: Where it keeps everything.
        certificate: Its own.
    """

    def __init__(self, data_dir: Path, certificate: Certificate) -> None:
        super().__init__(data_dir)
        self._certificate = certificate

    @property
    def tls_url(self) -> str:
        """Where it is: `tls://127.0.0.1:4222`."""
        return f"tls://{LOOPBACK}:{self.port}"

    def _command(self, port: int) -> Sequence[str]:
        command = super()._command(port)
        with Path(command[-1]).open("a") as configuration:
            configuration.write(
                f'tls {{\n  cert_file: "{self._certificate.chain}"\n  key_file: "{self._certificate.key}"\n}}\n'
            )
        return command


@asynccontextmanager
async def tls_before(database_url: str, certificate: Certificate) -> AsyncIterator[str]:
    """Yield the address, without parameters, of what ends TLS before a PostgreSQL, as poolers do.

    The embedded PostgreSQL is built without OpenSSL. Who does not ask for TLS is not let through.
    """
    target = urlsplit(database_url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    connections = Connections()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.note()
        try:
            if await reader.readexactly(len(_SSL_REQUEST)) == _SSL_REQUEST:
                writer.write(_ACCEPTED)
                await writer.start_tls(context)
                await join(reader, writer, *await asyncio.open_connection(target.hostname, target.port))
        except (OSError, EOFError, asyncio.CancelledError):
            # A client that trusts nobody here goes away.
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, LOOPBACK)
    try:
        port = server.sockets[0].getsockname()[1]
        user = target.netloc.rpartition("@")[0]
        yield target._replace(netloc=f"{user}@{LOOPBACK}:{port}", query="").geturl()
    finally:
        server.close()
        await connections.end()
