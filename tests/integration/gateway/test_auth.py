"""Who is let in by gateways that need credentials, on real servers."""

import asyncio
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from taskmill.cli.embedded.ports import free_port
from taskmill.contracts.api_keys import ALL_SCOPES
from taskmill.contracts.key_text import new_key
from taskmill.gateway.actors import key_watch
from taskmill.gateway.bootstrap import build as build_gateway
from taskmill.gateway.settings import GatewaySettings
from taskmill.runtime.errors import StartError
from taskmill.task_store.operator_keys import create_operator_key
from tests.support.eventually import holds
from tests.support.gateway import assert_problem
from tests.support.identity_provider import AUDIENCE, identity_provider
from tests.support.services import running_gateway
from tests.support.task_store import running_store


async def operator_key(database_url: str) -> str:
    """A key that may do everything."""
    now = datetime.now(UTC)
    return await create_operator_key(database_url, "admin", ALL_SCOPES, now=now, max_keys=10)


def bearer(key: str) -> dict[str, str]:
    """The headers of who has a key."""
    return {"Authorization": f"Bearer {key}"}


async def check_ready(client: httpx.AsyncClient, path: str = "/readyz") -> None:
    """Check that a gateway can serve, or at least answers."""
    try:
        answer = await client.get(path)
    except httpx.TransportError as error:
        raise AssertionError(str(error)) from error
    assert answer.status_code == 200


@asynccontextmanager
async def guarded_gateway(nats_url: str, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway that needs credentials; its client brings none by itself."""
    async with running_gateway(nats_url, is_nats_there=False, auth="required", **settings) as client:
        await holds(partial(check_ready, client))
        yield client


async def test_a_key_that_is_revoked_opens_nothing_a_second_later_at_any_gateway(
    database_url: str, nats_url: str
) -> None:
    """It opened what its scopes say before; and its streams end, too."""
    async with running_store(database_url, nats_url):
        admin = bearer(await operator_key(database_url))
        async with guarded_gateway(nats_url) as here, guarded_gateway(nats_url) as there:
            assert_problem(await there.get("/tasks"), 401, "unauthenticated")
            wanted = {"name": "reader", "scopes": ["tasks:read", "events:read"]}
            made = await here.post("/keys", json=wanted, headers=admin)
            assert made.status_code == 201, made.text
            assert made.headers["Cache-Control"] == "no-store"
            path, reader = made.headers["Location"], bearer(made.json()["key"])
            assert_problem(await there.post("/tasks", json={"title": "x"}, headers=reader), 403, "missing_scope")

            async def used() -> None:
                assert (await there.get("/tasks", headers=reader)).status_code == 200
                assert (await here.get(path, headers=admin)).json()["last_used_at"] is not None

            await holds(used)
            stream = there.stream("GET", "/events", headers={**reader, "Accept": "text/event-stream"})
            async with stream as streamed:
                chunks = streamed.aiter_bytes()
                assert await anext(chunks)
                revoked = await here.post(f"{path}/revoke", headers=admin)
                revoked_at = time.monotonic()
                assert revoked.json()["revoked_at"] is not None
                assert_problem(await here.get("/tasks", headers=reader), 401, "unauthenticated")
                begun_at = time.monotonic()
                while (await there.get("/tasks", headers=reader)).status_code == 200:
                    assert begun_at < revoked_at + 1
                    begun_at = time.monotonic()
                async with asyncio.timeout(10):
                    async for _ in chunks:
                        pass
            assert made.json()["key"].split("_")[2] not in (await here.get("/keys", headers=admin)).text


async def test_nobody_gives_away_what_they_do_not_have(database_url: str, nats_url: str) -> None:
    """Who may make keys makes none that may more than they; nor one that is worth nothing from the start."""
    async with running_store(database_url, nats_url), guarded_gateway_with_key(database_url, nats_url) as (client, key):
        wanted = {"name": "keys", "scopes": ["keys:admin", "tasks:read"]}
        made = (await client.post("/keys", json=wanted, headers=bearer(key))).json()
        assert made["created_by"] == f"key:{key.split('_')[1]}"
        limited = bearer(made["key"])
        for scopes in (["tasks:write"], ["keys:admin", "events:read"]):
            answer = await client.post("/keys", json={"name": "more", "scopes": scopes}, headers=limited)
            problem = assert_problem(answer, 403, "missing_scope")
            assert scopes[-1] in problem["detail"]
            assert "keys:admin" not in problem["detail"]
        past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        for body in (
            {"name": "late", "scopes": ["tasks:read"], "expires_at": past},
            {"name": "none", "scopes": []},
            {"name": "unknown", "scopes": ["tasks:everything"]},
            {"name": "", "scopes": ["tasks:read"]},
            {"name": "mine", "scopes": ["tasks:read"], "digest": "0" * 64},
        ):
            assert_problem(await client.post("/keys", json=body, headers=bearer(key)), 422, "invalid_request")
        for key_id in ("0" * 16, "x", "..", "a_b", "%00"):
            answer = await client.post(f"/keys/{key_id}/revoke", headers=bearer(key))
            assert answer.status_code == 404, key_id


@asynccontextmanager
async def guarded_gateway_with_key(database_url: str, nats_url: str) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """A gateway that needs credentials, and a key that may do everything there."""
    key = await operator_key(database_url)
    async with guarded_gateway(nats_url) as client:
        yield client, key


async def test_a_gateway_without_nats_lets_nobody_in_and_says_so(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lives, and whoever has a key is told to come again."""
    monkeypatch.setattr(key_watch, "FIRST_LOOK_SECONDS", 0.1)
    nowhere = f"nats://127.0.0.1:{free_port()}"
    for url, code in ((nowhere, "bus_unavailable"), (nats_url, "store_unavailable")):
        async with running_gateway(url, is_nats_there=False, auth="required") as client:

            async def check(client: httpx.AsyncClient = client, code: str = code) -> None:
                assert (await client.get("/livez")).status_code == 200
                answer = await client.get("/tasks", headers=bearer(new_key(datetime.now(UTC))))
                assert_problem(answer, 503, code)
                assert_problem(await client.get("/tasks"), 401, "unauthenticated")

            await holds(check)


async def test_a_gateway_that_could_let_nobody_in_ends_also_when_it_learns_that_late(
    database_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It served before, and let nobody in."""
    monkeypatch.setattr(key_watch, "FIRST_LOOK_SECONDS", 0.1)
    settings = GatewaySettings(nats_url=nats_url, port=free_port(), auth="required")
    supervisor = await build_gateway(settings)
    serving = asyncio.create_task(supervisor.run())
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.port}", trust_env=False) as client:
        await holds(partial(check_ready, client, path="/livez"))
    async with running_store(database_url, nats_url), asyncio.timeout(20):
        with pytest.raises(StartError, match="no API key"):
            await serving


async def test_tokens_of_a_provider_are_taken_beside_keys(database_url: str, nats_url: str) -> None:
    """Then a gateway starts without any key; a token may what its scopes say, and a key what its own do."""
    async with (
        identity_provider() as provider,
        running_store(database_url, nats_url),
        guarded_gateway(nats_url, oidc_issuer=provider.issuer, oidc_audience=AUDIENCE) as client,
    ):
        for token in (provider.token(), provider.token("ES256")):
            assert (await client.get("/tasks", headers=bearer(token))).status_code == 200
        assert_problem(await client.get("/webhooks", headers=bearer(provider.token())), 403, "missing_scope")
        assert_problem(await client.get("/tasks", headers=bearer(provider.token(exp=1))), 401, "unauthenticated")
        key = await operator_key(database_url)
        assert (await client.get("/webhooks", headers=bearer(key))).status_code == 200
        soon = int(time.time()) - 28
        headers = {**bearer(provider.token(exp=soon, scope="events:read")), "Accept": "text/event-stream"}
        async with client.stream("GET", "/events", headers=headers) as streamed, asyncio.timeout(15):
            assert streamed.status_code == 200
            async for _ in streamed.aiter_bytes():
                pass


async def run(*command: str, directory: Path, **variables: str) -> asyncio.subprocess.Process:
    """Start a program whose output is caught."""
    return await asyncio.create_subprocess_exec(
        *command,
        cwd=directory,
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def test_a_gateway_that_others_reach_starts_only_with_a_key_and_never_logs_one(
    database_url: str, nats_url: str, tmp_path: Path
) -> None:
    """It prints how to make one, which works as it is; and no secret is in its logs or answers, whatever comes."""
    port = free_port()
    gateway = {
        "NATS_URL": nats_url,
        "TASKMILL_HOST": "0.0.0.0",  # noqa: S104 -- that is what is tested
        "TASKMILL_PORT": str(port),
        "TASKMILL_LOG_LEVEL": "debug",
    }
    async with running_store(database_url, nats_url):
        refused = await run(sys.executable, "-m", "taskmill.gateway", directory=tmp_path, **gateway)
        output, _ = await refused.communicate()
        assert refused.returncode == 1
        printed = re.search(r"python (-m taskmill\.task_store create-key \w+)", output.decode())
        assert printed is not None, output

        arguments = shlex.split(printed[1])
        maker = await run(sys.executable, *arguments, directory=tmp_path, DATABASE_URL=database_url)
        made, _ = await maker.communicate()
        key = made.decode().split()[-1]

        serving = await run(sys.executable, "-m", "taskmill.gateway", directory=tmp_path, **gateway)
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                await holds(partial(check_ready, client), within_seconds=30)
                answers = [
                    await client.get("/tasks", headers=bearer(key)),
                    await client.get(f"/tasks?key={key}", headers=bearer(key)),
                    await client.get(f"/{key}", headers=bearer(key)),
                    await client.get(f"/keys/{key}", headers=bearer(key)),
                    await client.get("/tasks", headers={"Authorization": f"Basic {key}"}),
                    await client.get("/tasks", headers=bearer(f"{key}x")),
                    await client.get("/tasks", headers={**bearer(key), "X-Padding": "x" * 60_000}),
                    await client.post("/tasks", content=key, headers=bearer(key)),
                    await client.post("/tasks", json={"title": "x", key: key}, headers=bearer(key)),
                ]
                assert [answer.status_code for answer in answers] == [200, 422, 404, 404, 401, 401, 200, 415, 422]
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(f"GET /tasks HTTP/1.1\r\nAuthorization Bearer {key}\r\n\r\n".encode())
                raw = await reader.read()
                writer.close()
                await writer.wait_closed()
        finally:
            serving.send_signal(signal.SIGTERM)
            logs, _ = await serving.communicate()
        secret = key.split("_")[2]
        assert secret not in logs.decode()
        assert secret not in raw.decode()
        assert not [answer.text for answer in answers if secret in answer.text]
