"""The actor that serves HTTP: its start, its restart and its drain."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from taskmill.cli.embedded.ports import free_port
from taskmill.gateway.actors.http_server import HttpServer
from taskmill.gateway.bootstrap import build
from taskmill.gateway.errors import MAX_HEAD_BYTES
from taskmill.gateway.settings import GatewaySettings
from taskmill.runtime.errors import StartError
from tests.support.eventually import eventually
from tests.support.services import running_gateway


class SlowApp:
    """An application that answers when it is told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        self.asked.set()
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def _listener() -> tuple[socket.socket, str]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


async def _serve(server: HttpServer) -> "asyncio.Task[None]":
    started = asyncio.Event()
    task = asyncio.create_task(server.run(started.set))
    await asyncio.wait_for(started.wait(), 5)
    return task


async def test_the_drain_answers_what_is_in_hand() -> None:
    """A request that waits when the drain begins is answered; no new connection is accepted."""
    app = SlowApp()
    listener, url = _listener()
    server = HttpServer(app, listener, on_stop=lambda: None)
    serving = await _serve(server)
    async with httpx.AsyncClient(trust_env=False) as client:
        request = asyncio.create_task(client.get(url))
        await app.asked.wait()
        server.stop()

        async def is_closed() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
            except ConnectionError:
                return True
            writer.close()
            return False

        await eventually(is_closed)
        app.may_answer.set()
        assert (await request).status_code == 204
    await asyncio.wait_for(serving, 5)


async def test_it_can_be_started_again() -> None:
    """After a crash the supervisor runs the actor again, on the same port."""
    app = SlowApp()
    app.may_answer.set()
    listener, url = _listener()
    server = HttpServer(app, listener, on_stop=lambda: None)
    crashed = await _serve(server)
    crashed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await crashed
    serving = await _serve(server)
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(url)).status_code == 204
    server.stop()
    await asyncio.wait_for(serving, 5)


async def test_it_may_be_stopped_before_it_runs() -> None:
    """Then it returns at once."""
    listener, _ = _listener()
    server = HttpServer(SlowApp(), listener, on_stop=lambda: None)
    server.stop()
    server.stop()
    await asyncio.wait_for(server.run(lambda: None), 1)


async def test_a_port_in_use_is_told_by_its_setting() -> None:
    """The operator learns which variables to change."""
    taken, url = _listener()
    taken.listen()
    with pytest.raises(StartError, match="TASKMILL_PORT"):
        await build(GatewaySettings(port=httpx.URL(url).port or 0))
    taken.close()


async def test_a_signal_ends_the_process_with_0(nats_url: str, tmp_path: Path) -> None:
    """`python -m taskmill.gateway` serves, and drains on SIGTERM."""
    port = free_port()
    environment = {**os.environ, "TASKMILL_NATS_URL": nats_url, "TASKMILL_PORT": str(port)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "taskmill.gateway"),
        cwd=tmp_path,
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:

        async def is_alive() -> bool:
            try:
                return (await client.get("/livez")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(is_alive, within_seconds=20)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0


@pytest.mark.parametrize("piece", [b"x" * 8_192, b"X-Many: headers\r\n" * 512], ids=["one header", "many headers"])
async def test_a_head_that_does_not_end_is_refused(nats_url: str, piece: bytes) -> None:
    """It would fill the memory of the gateway."""
    async with running_gateway(nats_url) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        answering = asyncio.create_task(reader.read())
        writer.write(b"GET /livez HTTP/1.1\r\nX-Long: ")
        pieces = 0
        # One after another: an answer is lost with the connection if there is more to read when that is closed.
        while not answering.done():
            assert pieces * len(piece) < 100 * MAX_HEAD_BYTES
            writer.write(piece)
            pieces += 1
            await asyncio.wait({answering}, timeout=0.02)
        writer.close()
        try:
            head, _, body = answering.result().partition(b"\r\n\r\n")
        except ConnectionError:
            return
    assert head.startswith(b"HTTP/1.1 431 ")
    assert json.loads(body)["code"] == "head_too_large"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"get /livez HTTP/1.1\r\nHost: x\r\n\r\n",
        b"FOO /tasks HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /tasks\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"hello\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_answered_with_a_problem(nats_url: str, request_bytes: bytes) -> None:
    """The server itself answers there, and in the same form as the application."""
    async with running_gateway(nats_url) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(request_bytes)
        async with asyncio.timeout(10):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head.lower()
    assert json.loads(body)["code"] == "malformed_http"
