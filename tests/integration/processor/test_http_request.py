"""The kind `http-request`, against a server on this machine."""

import asyncio
import gzip
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
import uvloop
from pydantic import JsonValue

from taskmill.contracts.reports import Completed, Failed
from taskmill.contracts.status import Priority
from taskmill.contracts.work import WorkItem
from taskmill.processor.adapters.guarded_http import GuardedHttp, is_public_address
from taskmill.processor.adapters.name_lookups import IpAddress, NameLookups
from taskmill.processor.handlers.http_request import MAX_RESPONSE_BYTES, http_request
from taskmill.sdk import Context, InvalidPayloadError, TaskApp, TaskFailedError
from tests.integration.processor.harness import running_processor, store_side
from tests.support.http_server import http_server, response


async def send(
    payload: JsonValue, is_allowed: Callable[[IpAddress], bool] | None = None, names: NameLookups | None = None
) -> Any:
    """Call the handler; by default all addresses are allowed, and names are looked up as the system does."""
    item = WorkItem(
        task_id=uuid4(),
        run=1,
        attempt=1,
        dispatch=1,
        title="t",
        kind="http-request",
        queue="default",
        priority=Priority.MEDIUM,
    )
    app = TaskApp("test")
    app.task("http-request")(partial(http_request, GuardedHttp(is_allowed, names)))
    handler = app.handlers["http-request"]
    return await handler.function(handler.read(payload), Context(item, lambda *_args, **_content: None))


async def test_a_response_becomes_the_result() -> None:
    """Method, headers and body are sent; status, headers and body come back, whatever the status."""
    requests: list[str] = []

    def answer(request: str) -> bytes:
        requests.append(request)
        return response("grüße".encode(), status="418 Teapot", X_Kind="tea")

    async with http_server(answer) as url:
        result = await send({"method": "POST", "url": f"{url}/pot?a=1", "headers": {"X-Cup": "2"}, "body": "ü"})
    assert result["status"] == 418
    assert result["headers"]["x-kind"] == "tea"
    assert (result["body"], result["truncated"]) == ("grüße", False)
    assert requests[0].startswith("POST /pot?a=1 HTTP/1.1\r\n")
    assert "x-cup: 2" in requests[0].lower()
    assert requests[0].endswith("\r\n\r\nü")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"])  # noqa: S104
async def test_this_machine_is_refused(host: str) -> None:
    """By default no name or number of this machine is connected to."""
    requests: list[str] = []
    async with http_server(lambda request: requests.append(request) or response()) as url:  # type: ignore[func-returns-value]
        with pytest.raises(TaskFailedError) as caught:
            await send({"url": url.replace("127.0.0.1", host)}, is_public_address)
    assert caught.value.code == "address_refused"
    assert requests == []


async def test_an_address_that_is_refused_is_not_even_connected_to() -> None:
    """Whether anything listens there is nobody's business: a port that is open and one that is closed are the same."""
    connections: list[object] = []
    server = await asyncio.start_server(lambda *connection: connections.append(connection), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    codes = []
    for _ in ("open", "closed"):
        with pytest.raises(TaskFailedError) as caught:
            await send({"url": f"http://localhost:{port}/"}, is_public_address)
        codes.append(caught.value.code)
        server.close()
        await server.wait_closed()
    assert (codes, connections) == (["address_refused"] * 2, [])


async def test_of_several_addresses_the_next_is_tried() -> None:
    """A name may stand for some that are away, and for some that are refused."""
    asked: list[IpAddress] = []

    def is_allowed(address: IpAddress) -> bool:
        asked.append(address)
        return address != ip_address("127.0.0.3")

    names = NameLookups(lambda _: ["127.0.0.3", "127.0.0.2", "127.0.0.1"])
    requests: list[str] = []
    async with http_server(lambda request: requests.append(request) or response(b"there")) as url:  # type: ignore[func-returns-value]
        port = url.rpartition(":")[2]
        result = await send({"url": f"http://many.example:{port}/"}, is_allowed, names)
    assert result["body"] == "there"
    assert f"host: many.example:{port}" in requests[0].lower()
    assert len(asked) == 3


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b", "x" * 64 + ".example", "..."])
async def test_a_name_that_stands_for_nothing_is_a_failed_request(host: str) -> None:
    """Whatever makes it none."""
    with pytest.raises(TaskFailedError) as caught:
        await send({"url": f"http://{host}/"}, is_public_address)
    assert caught.value.code == "request_failed"


def test_a_connection_that_is_reset_at_once_is_a_failed_request() -> None:
    """Whenever that is noticed: also between connecting and sending, on the event loop that processors have."""

    def reset_all(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()

    async def send_all(url: str) -> list[object]:
        answers: list[object] = await asyncio.gather(*(send({"url": url}) for _ in range(100)), return_exceptions=True)
        return answers

    with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
        # In a thread, as it is to come between two turns of the event loop.
        resetting = Thread(target=reset_all, args=(listener,))
        resetting.start()
        try:
            answers: list[object] = uvloop.run(send_all(f"http://127.0.0.1:{listener.getsockname()[1]}/"))
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            resetting.join(10)
    codes = [answer.code if isinstance(answer, TaskFailedError) else answer for answer in answers]
    assert codes == ["request_failed"] * 100


async def test_a_redirect_is_checked_like_the_first_address() -> None:
    """A server that may be asked cannot send us to one that may not."""
    inner_requests: list[str] = []

    def inner(request: str) -> bytes:
        inner_requests.append(request)
        return response(b"secret")

    async with (
        http_server(inner, "127.0.0.2") as inner_url,
        http_server(lambda _: response(status="302 Found", Location=inner_url)) as url,
    ):
        with pytest.raises(TaskFailedError) as caught:
            await send({"url": url}, lambda address: address == ip_address("127.0.0.1"))
        assert (await send({"url": url}))["body"] == "secret"
    assert caught.value.code == "address_refused"
    assert len(inner_requests) == 1


@pytest.mark.parametrize(("hops", "is_reached"), [(5, True), (6, False)])
async def test_five_redirects_are_followed(hops: int, is_reached: bool) -> None:
    """The sixth is too many."""

    def answer(request: str) -> bytes:
        hop = int(request.split()[1].strip("/"))
        return response(b"there") if hop == 0 else response(status="302 Found", Location=f"/{hop - 1}")

    async with http_server(answer) as url:
        if is_reached:
            assert (await send({"url": f"{url}/{hops}"}))["body"] == "there"
        else:
            with pytest.raises(TaskFailedError) as caught:
                await send({"url": f"{url}/{hops}"})
            assert caught.value.code == "too_many_redirects"


@pytest.mark.parametrize(("size", "is_truncated"), [(MAX_RESPONSE_BYTES, False), (MAX_RESPONSE_BYTES + 1, True)])
async def test_a_body_is_cut(size: int, is_truncated: bool) -> None:
    """Of a large body, 64 KiB are kept."""
    async with http_server(lambda _: response(b"x" * size)) as url:
        result = await send({"url": url})
    assert (len(result["body"]), result["truncated"]) == (MAX_RESPONSE_BYTES, is_truncated)


async def test_an_endless_body_is_not_read_to_its_end() -> None:
    """A response without an end is cut as well."""

    def answer(_request: str) -> bytes:
        return (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + b"y" * 65536 + b"\r\n1\r\nz\r\n"
        )

    async with http_server(answer) as url:
        result = await send({"url": url})
    assert (result["body"], result["truncated"]) == ("y" * MAX_RESPONSE_BYTES, True)


async def test_a_compression_bomb_does_no_harm() -> None:
    """A body that decompresses to 50 MB is cut at 64 KiB."""
    bomb = gzip.compress(b"0" * 50_000_000)
    async with http_server(lambda _: response(bomb, Content_Encoding="gzip")) as url:
        result = await send({"url": url})
    assert (result["body"], result["truncated"]) == ("0" * MAX_RESPONSE_BYTES, True)


async def test_a_character_at_the_cut_is_left_out() -> None:
    """The text ends with a whole character."""
    async with http_server(lambda _: response(b"x" + "ü".encode() * MAX_RESPONSE_BYTES)) as url:
        result = await send({"url": url})
    assert result["body"] == "x" + "ü" * ((MAX_RESPONSE_BYTES - 1) // 2)


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        (b"caf\xe9", "text/plain; charset=latin-1", "café"),
        (b"caf\xe9", "text/plain; charset=no-such", "caf\ufffd"),
        (b"abc", "text/plain; charset=zlib", "abc"),
        (b"abc-123", "text/plain; charset=punycode", "abc-123"),
        (b"a\x00\x01\nb", "application/octet-stream", "a\ufffd\ufffd\nb"),
    ],
)
async def test_any_body_becomes_text_that_can_be_kept(body: bytes, content_type: str, text: str) -> None:
    """The charset is heeded where it is known; what is no text is replaced."""
    async with http_server(lambda _: response(body, Content_Type=content_type)) as url:
        assert (await send({"url": url}))["body"] == text


async def test_the_deadline_is_over_all() -> None:
    """A server that never answers costs no more than the timeout."""
    async with http_server(lambda _: b"") as url:
        with pytest.raises(TaskFailedError) as caught:
            await send({"url": url, "timeout": 0.2})
    assert caught.value.code == "timeout"


@pytest.mark.parametrize("answer", [b"garbage\r\n\r\n", response(b"no gzip", Content_Encoding="gzip")])
async def test_a_broken_response_is_a_failure(answer: bytes) -> None:
    """What is no HTTP response fails with a code."""
    async with http_server(lambda _: answer) as url:
        with pytest.raises(TaskFailedError) as caught:
            await send({"url": url})
    assert caught.value.code == "request_failed"


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        {},
        {"url": "ftp://example.org/"},
        {"url": "/relative"},
        {"url": "http://"},
        {"url": "http://example.org/", "method": "TRACE"},
        {"url": "http://example.org/", "headers": {"X": "a\r\nY: b"}},
        {"url": "http://example.org/", "headers": {"a b": "c"}},
        {"url": "http://example.org/", "timeout": 0},
        {"url": "http://example.org/", "timeout": "5"},
        {"url": "http://example.org/", "tiemout": 5},
    ],
)
async def test_a_wrong_payload_is_refused(payload: JsonValue) -> None:
    """A payload that does not fit fails as `invalid_payload`, without repeating its values."""
    with pytest.raises(InvalidPayloadError) as caught:
        await send(payload)
    assert caught.value.code == "invalid_payload"
    assert "example" not in str(caught.value)


async def test_cookies_stay_within_a_task() -> None:
    """A cookie that one task was given is not sent by the next."""
    requests: list[str] = []

    def answer(request: str) -> bytes:
        requests.append(request)
        return response(Set_Cookie="session=1; Path=/")

    async with http_server(answer) as url:
        await send({"url": url})
        await send({"url": url})
    assert "cookie" not in requests[1].lower()


@pytest.mark.parametrize(("is_allowed", "report_type"), [(False, Failed), (True, Completed)])
async def test_a_setting_allows_private_addresses(
    nats_url: str, is_allowed: bool, report_type: type[Completed | Failed]
) -> None:
    """A processor refuses this machine by default, and asks it where the setting says so."""
    async with (
        http_server(lambda _: response(b"inside")) as url,
        store_side(nats_url) as store,
        running_processor(nats_url, http_allow_private=is_allowed),
    ):
        [item] = await store.dispatch("http-request", {"url": url})
        report = await store.report_of(item, report_type)
    if isinstance(report, Failed):
        assert report.error.code == "address_refused"
    else:
        assert isinstance(report.result, dict)
        assert report.result["body"] == "inside"
