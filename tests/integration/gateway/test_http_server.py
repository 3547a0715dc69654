"""The actor that serves HTTP: its start, its restart and its drain."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from taskmill.cli.embedded.ports import free_port
from taskmill.gateway.actors import http_server
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


@pytest.mark.parametrize("pieces", [1, 2])
async def test_a_head_that_comes_at_once_is_measured_too(nats_url: str, pieces: int) -> None:
    """To the byte, however many requests come with it; what came before is answered."""
    start = b"GET /livez HTTP/1.1\r\n"
    rest_bytes = MAX_HEAD_BYTES - len(b"/livez") - len(b"Connection: close\r\n") - len(b"X: \r\n")
    async with running_gateway(nats_url) as client:
        for too_many, statuses in ((0, [200, 200]), (1, [200, 431])):
            reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
            head = start + b"Connection: close\r\nX: " + b"x" * (rest_bytes + too_many) + b"\r\n\r\n"
            writer.write(start + b"\r\n")
            answer = await reader.readuntil(b"}")
            for piece in (head[: len(head) // pieces], head[len(head) // pieces :]):
                writer.write(piece)
                await writer.drain()
            answer += await reader.read()
            writer.close()
            assert [int(status) for status in re.findall(rb"HTTP/1.1 (\d+)", answer)] == statuses
        assert json.loads(answer.rpartition(b"\r\n\r\n")[2])["code"] == "head_too_large"
        # Much that comes together is none of it too large.
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write((start + b"X: " + b"x" * (MAX_HEAD_BYTES // 2) + b"\r\n\r\n") * 4)
        for _ in range(4):
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_blanks_around_a_value_are_no_part_of_it(nats_url: str) -> None:
    """Nobody is refused for what nobody sees."""
    lines = (b"Host: localhost ", b"Sec-Fetch-Site:\t same-origin \t", b"Accept: text/html ", b"Connection: close ")
    async with running_gateway(nats_url) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(b"GET /tasks?limit=x HTTP/1.1\r\n" + b"\r\n".join(lines) + b"\r\n\r\n")
        answer = await reader.read()
        writer.close()
    assert json.loads(answer.rpartition(b"\r\n\r\n")[2])["code"] == "invalid_request"


CHUNKED = b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_trailer_that_does_not_end_is_refused(nats_url: str) -> None:
    """It would fill the memory, too, also where nobody reads the body; that may be long."""
    async with running_gateway(nats_url) as client:
        for head in (CHUNKED, CHUNKED.replace(b"POST /tasks", b"GET /livez")):
            reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
            long_body = b"%x\r\n%b\r\n" % (4 * MAX_HEAD_BYTES, b" " * 4 * MAX_HEAD_BYTES)
            writer.write(head + 2 * long_body + b"0\r\n")
            reading = asyncio.create_task(reader.read())
            sent_bytes = 0
            while not reading.done():
                assert sent_bytes < 100 * MAX_HEAD_BYTES
                writer.write(b"X-Many: trailers\r\n" * 512)
                sent_bytes += 18 * 512
                await asyncio.wait({reading}, timeout=0.02)
            writer.close()
            # An answer is lost with the connection if there is more to read when that is closed.
            with suppress(ConnectionError):
                assert b"head_too_large" in reading.result()


async def test_a_trailer_is_no_header(nats_url: str) -> None:
    """A proxy that says what a request may do says it in its head."""
    async with running_gateway(nats_url, auth="none") as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        head = CHUNKED.replace(b"application/json", b"text/plain").replace(b"x\r\n", b"x\r\nConnection: close\r\n", 1)
        writer.write(head + b"2\r\n{}\r\n0\r\nContent-Type: application/json\r\n\r\n")
        async with asyncio.timeout(10):
            assert (await reader.read()).startswith(b"HTTP/1.1 415 ")
        writer.close()


async def test_the_wish_for_another_protocol_is_passed_over(nats_url: str) -> None:
    """As Java's HttpClient has it with the first request of a connection; the parser would drop its body."""
    async with running_gateway(nats_url) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"
        start = b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        body = b'{"title": "\\r\\nUpgrade: h2c"}'
        async with asyncio.timeout(10):
            for wish in (upgrade, b""):
                writer.write(start + wish + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
                head = await reader.readuntil(b"\r\n\r\n")
                # Without a store; but it was read.
                assert head.startswith(b"HTTP/1.1 503 "), head
                length = re.search(rb"content-length: ([0-9]+)", head)
                assert length is not None
                await reader.readexactly(int(length[1]))
        writer.close()


async def test_connections_that_come_to_a_halt_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By which no whole request comes, or nothing is taken of the answer: each holds an open file. Others stay."""
    monkeypatch.setattr(http_server, "KEEP_ALIVE_SECONDS", 0.3)
    monkeypatch.setattr(http_server, "NOTHING_TAKEN_SECONDS", 0.3)
    large = b"x" * 10_000_000
    may_answer = asyncio.Event()

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        await may_answer.wait()
        length = str(len(large) if scope["path"] == "/large" else 2).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": large if scope["path"] == "/large" else b"ok"})

    listener, url = _listener()
    server = HttpServer(app, listener, on_stop=lambda: None, look_seconds=0.05)
    serving = await _serve(server)
    port = httpx.URL(url).port
    slow_reader, slow_writer = await asyncio.open_connection("127.0.0.1", port)
    slow_writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    for begun in (b"", b"GET / HT", b"POST / HTTP/1.1\r\nX-More: "):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun)
        async with asyncio.timeout(10):
            # Something comes all the time, but no request.
            while not reader.at_eof():
                writer.write(b"y" if begun.endswith(b" ") else b"")
                with suppress(TimeoutError, ConnectionError):
                    await asyncio.wait_for(reader.read(), 0.05)
        writer.close()
    # An answer may take longer.
    may_answer.set()
    async with asyncio.timeout(10):
        assert (await slow_reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
    slow_writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    writer.write(2 * b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    await eventually(lambda: not server.connections, within_seconds=10)
    writer.close()
    server.stop()
    await asyncio.wait_for(serving, 5)


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
