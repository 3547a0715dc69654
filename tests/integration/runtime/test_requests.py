import asyncio
import threading
import time
from collections.abc import Sequence

import nats
import orjson
import pytest
import uvloop
from structlog.testing import capture_logs

from taskmill.cli.embedded.nats import NatsServer
from taskmill.contracts.errors import (
    BusUnavailableError,
    FieldProblem,
    InternalError,
    InvalidRequestError,
    OverloadedError,
    PayloadTooLargeError,
    RemoteError,
    TaskmillError,
    TaskNotFoundError,
)
from taskmill.contracts.limits import MAX_BUNDLED_REQUEST_BYTES, MAX_REQUESTS_IN_A_BUNDLE
from taskmill.runtime.errors import NoRespondersError
from taskmill.runtime.nats_protocol import encode_headers
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.reply import Reply
from taskmill.runtime.request_bundles import BUNDLE_HEADER, FULL_BUNDLE
from taskmill.runtime.requests import BundleHandler, RequestClient, RequestHandler, RequestServer
from taskmill.runtime.settings import NatsSettings
from tests.support.actors import running
from tests.support.eventually import eventually


async def echo(body: bytes) -> bytes:
    """Reply with the request."""
    return body


def server(
    session: NatsSession, handler: RequestHandler, *, max_in_flight: int = 100, deadline: float = 10
) -> RequestServer:
    """A server with one route, `svc.do`."""
    return RequestServer(
        session, "svc", {"svc.do": handler}, group="svc", max_in_flight=max_in_flight, deadline_seconds=deadline
    )


def bundling_server(session: NatsSession, handle_each: BundleHandler) -> RequestServer:
    """A server whose requests may come in bundles; those that come alone are echoed."""
    return RequestServer(
        session, "svc", {"svc.do": echo}, group="svc", max_in_flight=100, bundled={"svc.do.bundle": handle_each}
    )


def client(session: NatsSession) -> RequestClient:
    """A client with a deadline that no test waits for."""
    return RequestClient(session, timeout_seconds=10)


async def test_each_request_gets_its_own_reply(session: NatsSession) -> None:
    """Many at once are not mixed up, and nothing of them is kept."""
    async with running(server(session, echo, max_in_flight=1_000)):
        requests = client(session)
        bodies = [str(number).encode() for number in range(1_000)]
        replies = await asyncio.gather(*[requests.request("svc.do", body) for body in bodies])
        assert replies == [Reply(body) for body in bodies]
    assert not session.requests._waiting


async def test_an_answer_goes_to_an_inbox_and_nowhere_else(session: NatsSession) -> None:
    """Who may ask would else have the server publish for them where only it may: into a stream, for one."""
    heard: list[bytes] = []

    async def remember(body: bytes) -> bytes:
        heard.append(body)
        return body

    async with running(server(session, remember)):
        answers: list[bytes] = []
        session.subscribe("elsewhere.>", lambda _s, _r, body, _h: answers.append(body))
        for reply in ("elsewhere.x", "elsewhere._INBOX.x"):
            session.publish("svc.do", b"forged", reply=reply)
        assert (await client(session).request("svc.do", b"asked")).body == b"asked"
        await session.flush()
    assert (heard, answers) == ([b"asked"], [])


async def test_a_reply_that_does_not_come_in_time(session: NatsSession) -> None:
    """A request ends at its deadline; a reply that comes later harms nobody."""
    may_answer = asyncio.Event()

    async def slow(body: bytes) -> bytes:
        await may_answer.wait()
        return body

    async with running(server(session, slow)):
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await client(session).request("svc.do", b"", timeout_seconds=0.1)
        assert 0.1 <= time.monotonic() - began < 1
        may_answer.set()
        assert (await client(session).request("svc.do", b"next")).body == b"next"
    assert not session.requests._waiting


async def test_nobody_there_is_told_at_once(session: NatsSession) -> None:
    """Without a server a request does not wait for its deadline."""
    began = time.monotonic()
    with pytest.raises(NoRespondersError):
        await client(session).request("svc.do", b"")
    assert time.monotonic() - began < 1


async def test_a_cancelled_request_leaves_nothing(session: NatsSession) -> None:
    """A caller that goes away is forgotten."""

    async def hang(_: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    async with running(server(session, hang, deadline=0.1)):
        task = asyncio.create_task(client(session).request("svc.do", b""))
        await eventually(lambda: session.requests._waiting)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not session.requests._waiting


async def test_losing_the_connection_ends_what_waits(nats_server: NatsServer, own_session: NatsSession) -> None:
    """A request under way fails with the connection, one made without a connection fails at once."""
    may_answer = asyncio.Event()

    async def slow(_: bytes) -> bytes:
        await may_answer.wait()
        return b""

    service = server(own_session, slow)
    async with running(service):
        task = asyncio.create_task(client(own_session).request("svc.do", b""))
        await eventually(lambda: service._in_flight)
        began = time.monotonic()
        await nats_server.kill()
        with pytest.raises(BusUnavailableError):
            await task
        with pytest.raises(BusUnavailableError):
            await client(own_session).request("svc.do", b"")
        assert time.monotonic() - began < 2
        with capture_logs() as logs:
            may_answer.set()
            await eventually(lambda: not service._in_flight)
        assert "request.unanswered" in {entry["event"] for entry in logs}


async def test_requests_are_served_again_after_a_killed_server(
    nats_server: NatsServer, own_session: NatsSession
) -> None:
    """Server and client go on without being restarted."""
    async with running(server(own_session, echo)):
        await nats_server.kill()
        await eventually(lambda: not own_session.is_connected)
        await nats_server.start()
        await eventually(lambda: own_session.is_connected)
        assert (await client(own_session).request("svc.do", b"again")).body == b"again"


async def test_an_error_keeps_its_code_and_details(session: NatsSession) -> None:
    """What a handler raises on purpose reaches the caller as it was."""
    error = InvalidRequestError(errors=[FieldProblem(pointer="/title", detail="It is empty.", code="too_short")])

    async def refuse(_: bytes) -> bytes:
        raise error

    async with running(server(session, refuse)):
        with pytest.raises(RemoteError) as caught:
            await client(session).request("svc.do", b"")
    assert caught.value.problem() == error.problem()


async def test_an_error_reply_has_the_headers_of_adr_32(session: NatsSession, nats_url: str) -> None:
    """Any NATS client can tell an error by its headers."""

    async def refuse(_: bytes) -> bytes:
        raise TaskNotFoundError("No task\r\nhas this id.")

    async with running(server(session, refuse)):
        other = await nats.connect(nats_url)
        reply = await other.request("svc.do", b"", timeout=5, headers={"X": "y"})
        await other.close()
    assert reply.headers == {
        "Nats-Service-Error": "No task  has this id.",
        "Nats-Service-Error-Code": "task_not_found",
    }


async def test_a_fault_is_logged_and_not_told(session: NatsSession) -> None:
    """A handler that raises what nobody expected: the caller learns only that, and the server lives on."""

    async def fail(body: bytes) -> bytes:
        if body:
            raise ZeroDivisionError("s3cret")
        return b"fine"

    async with running(server(session, fail)):
        with capture_logs() as logs, pytest.raises(RemoteError) as caught:
            await client(session).request("svc.do", b"x")
        assert (await client(session).request("svc.do", b"")).body == b"fine"
    assert caught.value.problem() == InternalError().problem()
    assert [(entry["event"], entry["exc_info"]) for entry in logs] == [("request.failed", True)]


async def test_garbage_harms_nobody(session: NatsSession) -> None:
    """Requests without a reply subject and replies that nobody waits for are survived."""
    async with running(server(session, echo)):
        session.publish("svc.do", b"\xff\x00 no reply")
        session.publish(f"{session.requests._prefix}999999", b"nobody waits")
        session.publish(f"{session.requests._prefix}\xe9", b"no token", headers={"A": "\xff"})
        assert (await client(session).request("svc.do", b"\xff\x00")).body == b"\xff\x00"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Nats-Service-Error-Code": "x"}, b"no problem document"),
        ({"Content-Encoding": "deflate"}, b"not deflated"),
        ({"Content-Encoding": "deflate"}, b""),
    ],
)
async def test_a_broken_reply_is_a_fault(session: NatsSession, headers: dict[str, str], body: bytes) -> None:
    """What another service answers is not trusted to make sense."""
    session.subscribe("svc.do", lambda _, reply, __, ___: session.publish(reply.decode(), body, headers=headers))
    with pytest.raises(InternalError):
        await client(session).request("svc.do", b"")


async def test_beyond_its_limit_a_server_refuses_at_once(session: NatsSession) -> None:
    """What is in flight is bounded; the rest is told to come back later."""
    may_answer = asyncio.Event()

    async def slow(body: bytes) -> bytes:
        await may_answer.wait()
        return body

    service = server(session, slow, max_in_flight=3)
    async with running(service):
        served = [asyncio.create_task(client(session).request("svc.do", b"a")) for _ in range(3)]
        await eventually(lambda: len(service._in_flight) == 3)
        with pytest.raises(RemoteError) as caught:
            await client(session).request("svc.do", b"")
        assert caught.value.problem() == OverloadedError().problem()
        may_answer.set()
        assert await asyncio.gather(*served) == [Reply(b"a")] * 3
        assert (await client(session).request("svc.do", b"b")).body == b"b"


async def test_a_handler_that_hangs_is_ended(session: NatsSession) -> None:
    """A handler past its deadline does not occupy its place for ever."""

    async def hang(_: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    async with running(server(session, hang, deadline=0.05)):
        with pytest.raises(RemoteError) as caught:
            await client(session).request("svc.do", b"")
    assert caught.value.problem().code == "overloaded"


async def test_a_drain_finishes_what_is_in_flight(session: NatsSession) -> None:
    """A request that was taken in is answered; one that comes after the drain finds nobody."""
    may_answer = asyncio.Event()

    async def slow(body: bytes) -> bytes:
        await may_answer.wait()
        return body

    subscriptions_without_server = len(session._subscriptions)
    service = server(session, slow)
    async with running(service):
        task = asyncio.create_task(client(session).request("svc.do", b"a"))
        await eventually(lambda: service._in_flight)
        service.stop()
        await eventually(lambda: len(session._subscriptions) == subscriptions_without_server)
        with pytest.raises(NoRespondersError):
            await client(session).request("svc.do", b"")
        may_answer.set()
        assert await task == Reply(b"a")


@pytest.mark.parametrize("reply_bytes", [512 * 1024, 512 * 1024 + 1, 20 * 1024 * 1024])
async def test_large_replies_arrive_whole(session: NatsSession, reply_bytes: int) -> None:
    """A reply that compresses may be larger than a NATS message."""

    async def large(_: bytes) -> bytes:
        return b"0123456789abcdef" * (reply_bytes // 16) + b"x" * (reply_bytes % 16)

    async with running(server(session, large)):
        reply = await client(session).request("svc.do", b"")
    assert reply == Reply(await large(b""))


@pytest.mark.parametrize("reply_bytes", [0, 5, 512 * 1024 + 1])
async def test_a_reply_may_have_headers(session: NatsSession, reply_bytes: int) -> None:
    """They arrive with the body, whether or not that was deflated on the way; how it travelled is not told."""
    told = Reply(b"x" * reply_bytes, {"Taskmill-Replayed": "true", "A": "b: c"})

    async def handle(_: bytes) -> Reply:
        return told

    async with running(RequestServer(session, "svc", {"svc.do": handle}, group="svc", max_in_flight=1)):
        assert await client(session).request("svc.do", b"") == told


async def test_a_reply_that_cannot_be_sent_is_a_fault(session: NatsSession) -> None:
    """A reply too large even when deflated: the caller is told something, and the server is told what."""

    async def random(_: bytes) -> bytes:
        import secrets

        return secrets.token_bytes(2 * 1024 * 1024)

    async with running(server(session, random)):
        with capture_logs() as logs, pytest.raises(RemoteError) as caught:
            await client(session).request("svc.do", b"")
    assert caught.value.problem().code == "internal_error"
    assert [entry["event"] for entry in logs] == ["request.reply_too_large"]


async def test_a_request_that_is_too_large(session: NatsSession) -> None:
    """It is refused here, and the connection stays."""
    with pytest.raises(PayloadTooLargeError):
        await client(session).request("svc.do", bytes(1024 * 1024 + 1))
    assert session.is_connected


async def test_two_servers_share_the_requests(session: NatsSession) -> None:
    """Of a group, one server gets a request."""
    counts = [0, 0]

    def counting(index: int) -> RequestHandler:
        async def handle(body: bytes) -> bytes:
            counts[index] += 1
            return body

        return handle

    async with running(server(session, counting(0))), running(server(session, counting(1))):
        await asyncio.gather(*[client(session).request("svc.do", b"") for _ in range(100)])
    assert sum(counts) == 100
    assert all(counts)


async def test_requests_of_one_moment_travel_together(session: NatsSession) -> None:
    """One message there and one back; each gets its own reply, with its headers, or its own error."""
    seen: list[list[bytes]] = []

    async def each(bodies: Sequence[bytes], _traceparents: Sequence[str | None]) -> list[bytes | Reply | TaskmillError]:
        seen.append(list(bodies))
        return [TaskNotFoundError() if body == b"bad" else Reply(body * 2, {"Told": body.decode()}) for body in bodies]

    async with running(bundling_server(session, each)):
        requests = RequestClient(session, timeout_seconds=10, bundled={"svc.do": "svc.do.bundle"})
        bodies = [b"a", b"", b"bad", b"\xc3\xbc"]
        replies = await asyncio.gather(*[requests.request("svc.do", body) for body in bodies], return_exceptions=True)
        assert seen == [bodies]
        assert replies[0] == Reply(b"aa", {"Told": "a"})
        assert replies[1] == Reply(b"", {"Told": ""})
        assert isinstance(replies[2], RemoteError)
        assert replies[2].problem().code == "task_not_found"
        assert replies[3] == Reply(b"\xc3\xbc" * 2, {"Told": "ü"})
        # Alone, too large to share, or with a deadline of its own, it goes as ever.
        assert (await requests.request("svc.do", b"alone")).body == b"alone"
        large = b"x" * (MAX_BUNDLED_REQUEST_BYTES + 1)
        await asyncio.gather(*[requests.request("svc.do", large) for _ in range(2)])
        await asyncio.gather(*[requests.request("svc.do", b"", timeout_seconds=1) for _ in range(2)])
        assert len(seen) == 1
    assert not session.requests._waiting


async def test_a_bundle_is_only_so_large(session: NatsSession) -> None:
    """More requests than that make several, and large replies arrive whole."""
    seen: list[int] = []

    async def each(bodies: Sequence[bytes], _traceparents: Sequence[str | None]) -> list[bytes | Reply | TaskmillError]:
        seen.append(len(bodies))
        return [body * 100 for body in bodies]

    async with running(bundling_server(session, each)):
        requests = RequestClient(session, timeout_seconds=10, bundled={"svc.do": "svc.do.bundle"})
        bodies = [b"%d" % number * 60 for number in range(1_000, 1_000 + 2 * FULL_BUNDLE + 1)]
        replies = await asyncio.gather(*[requests.request("svc.do", body) for body in bodies])
        assert replies == [Reply(body * 100) for body in bodies[:-1]] + [Reply(bodies[-1])]
    assert seen == [FULL_BUNDLE] * 2


async def test_a_full_bundle_goes_out_before_its_turn_ends(session: NatsSession, nats_url: str) -> None:
    """The other side has it while the event loop of who asks is busy: uvloop's, as in the gateway."""
    has_arrived = threading.Event()
    session.subscribe("svc.do.bundle", lambda *_: has_arrived.set())
    await session.flush()

    async def ask() -> bool:
        seen_in_the_turn: list[bool] = []
        async with running(NatsSession(NatsSettings(nats_url=nats_url), client_name="asking")) as asking:
            requests = RequestClient(asking, timeout_seconds=10, bundled={"svc.do": "svc.do.bundle"})
            asked = [asyncio.create_task(requests.request("svc.do", b"%d" % number)) for number in range(FULL_BUNDLE)]
            # In the same turn, behind all of those.
            asyncio.get_running_loop().call_soon(lambda: seen_in_the_turn.append(has_arrived.wait(5)))
            await eventually(lambda: seen_in_the_turn)
            for request in asked:
                request.cancel()
            await asyncio.wait(asked)
        return seen_in_the_turn[0]

    assert await asyncio.to_thread(uvloop.run, ask())


async def test_what_ends_a_bundle_ends_each_of_its_requests(session: NatsSession) -> None:
    """An error of the whole, an answer that does not come, nobody there; and a cancelled request harms no other."""
    may_answer = asyncio.Event()

    async def each(bodies: Sequence[bytes], _traceparents: Sequence[str | None]) -> list[bytes | Reply | TaskmillError]:
        await may_answer.wait()
        if b"lost" in bodies:
            raise BusUnavailableError
        return list(bodies)

    requests = RequestClient(session, timeout_seconds=0.3, bundled={"svc.do": "svc.do.bundle"})

    async def ends(*bodies: bytes) -> set[type[object]]:
        sent = [requests.request("svc.do", body) for body in bodies]
        return {type(reply) for reply in await asyncio.gather(*sent, return_exceptions=True)}

    assert await ends(b"1", b"2") == {NoRespondersError}
    async with running(bundling_server(session, each)):
        assert await ends(b"1", b"2") == {TimeoutError}
        may_answer.set()
        assert await ends(b"lost", b"2") == {RemoteError}
        may_answer.clear()
        first, second = (asyncio.create_task(requests.request("svc.do", body)) for body in (b"1", b"2"))
        await eventually(lambda: session.requests._waiting)
        first.cancel()
        may_answer.set()
        assert (await second).body == b"2"


@pytest.mark.parametrize(
    ("sizes", "body"),
    [
        *((sizes, b"12") for sizes in ("", "x", "3", "-1,3", "1,2", "1;1", "1,1" + ",0" * MAX_REQUESTS_IN_A_BUNDLE)),
        (f"1,{MAX_BUNDLED_REQUEST_BYTES + 1}", b"1" * (MAX_BUNDLED_REQUEST_BYTES + 2)),
    ],
)
async def test_a_broken_bundle_is_refused(session: NatsSession, sizes: str, body: bytes) -> None:
    """Nobody is asked what it says."""

    async def each(bodies: Sequence[bytes], _traceparents: Sequence[str | None]) -> list[bytes | Reply | TaskmillError]:
        raise AssertionError(bodies)

    async with running(bundling_server(session, each)):
        headers = encode_headers({BUNDLE_HEADER: sizes})
        answer = await session.requests.request("svc.do.bundle", body, timeout_seconds=5, headers=headers)
        assert orjson.loads(answer.body)["code"] == "invalid_request"


@pytest.mark.parametrize("headers", [{BUNDLE_HEADER: "0:1"}, {BUNDLE_HEADER: "0:1,0:x"}, {BUNDLE_HEADER: "0:1,0:9"}])
async def test_a_broken_reply_to_a_bundle_is_a_fault(session: NatsSession, headers: dict[str, str]) -> None:
    """Nobody gets what was meant for another."""

    def answer(_subject: bytes, reply: bytes, _body: bytes, _headers: bytes | None) -> None:
        session.publish(reply.decode(), b"12", headers=headers)

    subscription = session.subscribe("svc.do.bundle", answer)
    await session.flush()
    requests = RequestClient(session, timeout_seconds=5, bundled={"svc.do": "svc.do.bundle"})
    replies = await asyncio.gather(*[requests.request("svc.do", b"") for _ in range(2)], return_exceptions=True)
    assert [type(reply) for reply in replies] == [InternalError, InternalError]
    session.unsubscribe(subscription)
