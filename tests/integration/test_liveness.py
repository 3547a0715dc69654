"""Whoever looks whether a process lives sees a blocked event loop, and a connection that is dead or left alone."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from taskmill.cli.embedded.ports import free_port
from taskmill.gateway.actors.http_server import HttpServer
from taskmill.gateway.bootstrap import _bind, build
from taskmill.gateway.settings import GatewaySettings
from taskmill.runtime.health import HealthFile
from taskmill.runtime.nats_client import RawClient
from taskmill.runtime.nats_session import NatsSession
from tests.support.actors import running
from tests.support.eventually import eventually, holds
from tests.support.gateway import RememberingStore, gateway_app
from tests.support.running_service import running_service


class OtherLoop:
    """An event loop in a thread of its own, which can be blocked."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._released = threading.Event()
        self._is_over = asyncio.Event()

    @contextmanager
    def running(self, make: Callable[[], AbstractAsyncContextManager[Any]]) -> Iterator[None]:
        """Run something there, from when it runs until it has ended."""
        begun = threading.Event()

        async def run() -> None:
            async with make():
                begun.set()
                await self._is_over.wait()

        def live() -> None:
            with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
                runner.run(run())

        thread = threading.Thread(target=live, daemon=True)
        thread.start()
        try:
            assert begun.wait(10)
            yield
        finally:
            self._released.set()
            self.loop.call_soon_threadsafe(self._is_over.set)
            thread.join(10)
        assert not thread.is_alive()

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """Let something hold the loop, as a handler or an endpoint does that never awaits."""
        is_held = threading.Event()

        def hold() -> None:
            is_held.set()
            self._released.wait(30)

        self.loop.call_soon_threadsafe(hold)
        assert is_held.wait(10)
        yield
        self._released.set()


@asynccontextmanager
async def new_gateway(nats_url: str) -> AsyncIterator[tuple[httpx.AsyncClient, NatsSession]]:
    """Yield a client of a gateway, and the gateway's session."""
    port = free_port()
    supervisor = await build(GatewaySettings(nats_url=nats_url, port=port))
    session = supervisor._charges[0].actor
    assert isinstance(session, NatsSession)
    async with (
        running_service(supervisor),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        await eventually(lambda: session.is_connected)
        yield client, session


async def test_a_gateway_whose_loop_is_blocked_does_not_say_that_it_lives() -> None:
    """It answers nothing at all, until the loop is free again."""
    port = free_port()
    other = OtherLoop()

    def make() -> AbstractAsyncContextManager[HttpServer]:
        app = gateway_app(RememberingStore())
        return running(HttpServer(app, _bind("127.0.0.1", port), on_stop=lambda: None))

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        with other.running(make):
            assert (await client.get("/livez")).status_code == httpx.codes.OK
            with other.blocked(), pytest.raises(httpx.ReadTimeout):
                await client.get("/livez", timeout=0.5)
            assert (await client.get("/livez", timeout=10)).status_code == httpx.codes.OK


async def test_the_health_file_of_a_process_whose_loop_is_blocked_becomes_stale(tmp_path: Path) -> None:
    """And fresh again once the loop is free."""
    path = tmp_path / "health"

    def age() -> float:
        return time.time() - path.stat().st_mtime

    other = OtherLoop()
    with other.running(lambda: running(HealthFile(path, lambda: True, interval_seconds=0.02))):
        await eventually(path.exists)
        await eventually(lambda: age() < 0.2)
        with other.blocked():
            await eventually(lambda: age() > 0.5)
        await eventually(lambda: age() < 0.2)


async def test_a_dead_read_loop_is_noticed_at_once_and_mended(nats_url: str) -> None:
    """nats-py says that it is connected; the session does not believe it, and connects anew."""
    async with new_gateway(nats_url) as (client, session):
        dead = session.client
        assert dead._reading_task is not None
        dead._reading_task.cancel()
        await asyncio.wait({dead._reading_task})
        assert dead.is_connected
        await eventually(dead.broken.is_set, every_seconds=0)
        assert not dead.is_usable

        async def check_mended() -> None:
            assert (await client.get("/health")).json()["components"]["nats"] == "up"
            assert session.reconnects == 1
            assert session.client is not dead

        await holds(check_mended, within_seconds=3)
        assert (await client.get("/livez")).status_code == httpx.codes.OK


class ForgetfulSession(NatsSession):
    """Looks after its connection no longer once it has one."""

    async def _watch(self, client: RawClient) -> None:
        del client
        await self._stop_requested.wait()


class CrashingSession(NatsSession):
    """Cannot even try to connect."""

    async def _connect(self) -> RawClient | None:
        raise ZeroDivisionError


@pytest.mark.parametrize("session_class", [ForgetfulSession, CrashingSession])
async def test_a_gateway_that_leaves_its_connection_alone_is_not_live(
    nats_url: str, monkeypatch: pytest.MonkeyPatch, session_class: type[NatsSession]
) -> None:
    """It answers, but will never again hear of NATS, or tries in vain to begin."""
    monkeypatch.setattr("taskmill.gateway.bootstrap.NatsSession", session_class)
    monkeypatch.setattr("taskmill.runtime.nats_session.AT_WORK_WITHIN_SECONDS", 0.5)
    supervisor = await build(GatewaySettings(nats_url=nats_url, port=(port := free_port())))
    serving = asyncio.create_task(supervisor.run())
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:

            async def check_not_live() -> None:
                try:
                    answer = await client.get("/livez")
                except httpx.ConnectError:
                    raise AssertionError("it does not listen yet") from None
                assert (answer.status_code, answer.json()) == (503, {"status": "degraded"})

            await holds(check_not_live)
    finally:
        supervisor.stop()
        await serving
