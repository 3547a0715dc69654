"""PostgreSQL and NATS with TLS: a store works with both, trusts no other authority, and doctor is content."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.machine import server_directory
from taskmill.contracts import registry
from taskmill.runtime.errors import StartError
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.settings import NatsSettings
from taskmill.task_store.adapters.schema import wait_for_schema
from taskmill.task_store.migrations import needed_revision
from tests.support.actors import running
from tests.support.eventually import eventually
from tests.support.nats_keys import put_keys
from tests.support.task_store import running_store, store_client
from tests.support.tls import Certificate, TlsNatsServer, make_certificate, tls_before

VERIFIED = "?sslmode=verify-full&sslrootcert="


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """That of both servers."""
    return make_certificate(tmp_path)


@pytest.fixture
def other_authority(tmp_path: Path) -> Path:
    """One that has signed nothing of them."""
    (tmp_path / "other").mkdir()
    return make_certificate(tmp_path / "other").authority


@asynccontextmanager
async def tls_nats(certificate: Certificate) -> AsyncIterator[TlsNatsServer]:
    """Yield a nats-server with TLS."""
    with server_directory() as directory:
        put_keys(directory / "nats")
        server = TlsNatsServer(directory / "nats", certificate)
        await server.start()
        try:
            yield server
        finally:
            await server.stop()


async def doctor(cwd: Path, **variables: str) -> dict[str, list[dict[str, Any]]]:
    """What `taskmill doctor --prod` finds, by what it looks at."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from taskmill.cli.main import app; app()", "doctor", "--prod", "-o", "json"),
        cwd=cwd,
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate()
    found: dict[str, list[dict[str, Any]]] = {}
    for remark in json.loads(output):
        found.setdefault(remark["what"], []).append(remark)
    return found


async def test_a_store_works_with_servers_that_it_knows(
    database_url: str, certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads, writes, lists and publishes, all of it by TLS; doctor finds nothing that is sent in the open."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.authority))
    async with tls_before(database_url, certificate) as url, tls_nats(certificate) as nats:
        verified = f"{url}{VERIFIED}{certificate.authority}"
        async with running_store(verified, nats.tls_url), store_client(nats.tls_url) as client:
            task_id = (await client.create(process=True))["id"]
            assert [item["id"] for item in (await client.ask(registry.LIST))["items"]] == [task_id]
            assert len(await client.published(2)) == 2
        # As whoever brings no credentials may do everything here, only addresses are looked at.
        found = await doctor(tmp_path, TASKMILL_DATABASE_URL=verified, TASKMILL_NATS_URL=nats.tls_url)
    assert [remark["level"] for remark in found["database"]] == ["ok", "ok"], found
    assert [remark["level"] for remark in found["nats"]] == ["ok", "ok"], found


async def test_a_store_trusts_nobody_else(
    database_url: str, certificate: Certificate, other_authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With another authority it connects to neither, and doctor says so."""
    monkeypatch.setenv("SSL_CERT_FILE", str(other_authority))
    async with tls_before(database_url, certificate) as url, tls_nats(certificate) as nats:
        distrusted = f"{url}{VERIFIED}{other_authority}"
        with pytest.raises(StartError, match=r"SSLCertVerificationError"):
            await wait_for_schema(distrusted, needed_revision(), within_seconds=0.5)
        session = NatsSession(NatsSettings(nats_url=nats.tls_url), client_name="test", is_awaited=False)
        async with running(session):
            await eventually(lambda: "TLS handshake error" in nats.log_file.read_text())
            assert not session.is_connected
        found = await doctor(tmp_path, TASKMILL_DATABASE_URL=distrusted, TASKMILL_NATS_URL=nats.tls_url)
    assert [(remark["level"], "SSLCertVerificationError" in remark["found"]) for remark in found["database"]] == [
        ("fail", True),
        ("ok", False),
    ], found
    assert found["nats users"][0]["level"] == "fail", found
