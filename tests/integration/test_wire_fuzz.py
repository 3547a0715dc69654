"""Whatever bytes come to a service on NATS, it answers them with an error or sets them aside, and goes on."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from taskmill.cli.diagnosis.bus import look_at_nats
from taskmill.cli.diagnosis.remark import Level
from taskmill.contracts import registry, subjects
from taskmill.contracts.errors import InternalError, Problem, error_codes
from taskmill.contracts.permissions import OPERATOR, NatsUser
from taskmill.contracts.streams import REPORTS_STREAM, SET_ASIDE_STREAM, WORK_STREAM
from taskmill.runtime.nats_protocol import decode_headers, encode_publish
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.request_mux import RawReply
from taskmill.runtime.set_aside import REASON_HEADER, SUBJECT_HEADER
from taskmill.runtime.settings import NatsSettings
from tests.support.actors import running
from tests.support.databases import new_database
from tests.support.eventually import holds
from tests.support.nats_keys import seed_of, violations
from tests.support.servers import running_nats
from tests.support.services import Services, running_services
from tests.support.task_store import run_sql
from tests.support.wire_fuzz import CANARY, FIXED, HEADERS, golden, spoilt

# One stack for the module, or rather one for all that is thrown at it.
pytestmark = pytest.mark.asyncio(loop_scope="module")

SPOILT_OF_EACH = 40
ANSWER_SECONDS = 8
AT_ONCE = 50

CRASHES = {
    *("actor.crashed", "actor.ended_unasked", "request.failed", "nats.message_dropped", "nats.callback_failed"),
    *("mailbox.handler_failed", "mailbox.answer_failed", "operation.not_decided", "work.not_accepted"),
    *("reports.not_read", "nats.permission_violation", "nats.error"),
}
"""What services log when something happens that nobody has thought of."""

ERRORS = error_codes().keys() - {InternalError.code}


class Stack(NamedTuple):
    """The services, and a stranger who may do everything."""

    services: Services
    session: NatsSession
    database_url: str
    nats_url: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(postgres_url: str, database_template: str) -> AsyncIterator[Stack]:
    """All services, each with the rights that it has; in the end they are as well as at the start."""
    with capture_logs() as logs:
        async with (
            running_nats() as server,
            new_database(postgres_url, template=database_template) as database_url,
            running_services(database_url, server.url) as services,
            running(NatsSession(NatsSettings(nats_url=server.url), client_name="stranger")) as session,
        ):
            yield Stack(services, session, database_url, server.public_url)
            await _serves(services)
            assert violations(server.log_file) == []
    assert [entry for entry in logs if entry["event"] in CRASHES] == []


def _seed(user: NatsUser) -> str:
    return seed_of(user).get_secret_value()


async def _serves(services: Services) -> None:
    answer = await services.client.post("/tasks", json={"title": "Say hello", "kind": "echo", "process": True})
    assert answer.status_code == 201, answer.text
    await services.completed(answer.json()["id"])


async def _ask(session: NatsSession, subject: str, body: bytes, headers: bytes = b"") -> RawReply:
    try:
        return await session.requests.request(subject, body, timeout_seconds=ANSWER_SECONDS, headers=headers)
    except TimeoutError:
        raise AssertionError(f"{subject} does not answer {headers[:200]!r} {body[:500]!r}") from None


def _check(reply: RawReply, body: bytes) -> None:
    """An answer is right, or an error of which clients know, in our words."""
    headers = decode_headers(reply.headers) if reply.headers else {}
    code = headers.get("Nats-Service-Error-Code")
    if code is None:
        return
    problem = Problem.model_validate_json(reply.body)
    told = f"{body[:300]!r} is answered with {reply.body[:300]!r}"
    assert problem.code == code, told
    assert code in ERRORS, told
    everything = reply.body + (reply.headers or b"")
    assert CANARY.encode() not in everything, told
    assert b"Traceback" not in everything, told


async def _ask_all(session: NatsSession, subject: str, requests: Sequence[tuple[bytes, bytes]]) -> None:
    for start in range(0, len(requests), AT_ONCE):
        part = requests[start : start + AT_ONCE]
        replies = await asyncio.gather(*(_ask(session, subject, body, headers) for body, headers in part))
        for reply, (body, _) in zip(replies, part, strict=True):
            _check(reply, body)


@pytest.mark.parametrize("command", registry.COMMANDS, ids=lambda command: command.verb)
async def test_a_command_answers_everything(stack: Stack, command: registry.Command) -> None:
    """What is no request, was one once, or has headers that make no sense: an answer, and never an internal error."""
    right = golden(command.request.__name__)
    bodies = [*FIXED, *spoilt(right, SPOILT_OF_EACH, seed=len(command.verb))]
    await _ask_all(stack.session, command.subject, [(body, b"") for body in bodies])
    await _ask_all(stack.session, command.subject, [(b'{"x":1}', headers) for headers in HEADERS if headers])


@pytest.mark.parametrize("command", registry.BUNDLED, ids=lambda command: command.verb)
async def test_a_bundle_answers_everything(stack: Stack, command: registry.Command) -> None:
    """The same of requests that travel together, also when the sizes fit and only the requests do not."""
    subject = subjects.bundle(command.subject)
    bodies = [*FIXED, *spoilt(golden(command.request.__name__), SPOILT_OF_EACH, seed=3)]
    fitting = [(body + body, b"NATS/1.0\r\nTaskmill-Bundle: %d,%d\r\n\r\n" % (len(body), len(body))) for body in bodies]
    await _ask_all(stack.session, subject, [one for one in fitting if len(one[0]) < 1_000_000])
    await _ask_all(stack.session, subject, [(b'{"x":1}', headers) for headers in HEADERS])


async def test_discovery_answers_everything(stack: Stack) -> None:
    """Whatever is in the question, the answer is the same."""
    for verb in ("PING", "INFO", "STATS"):
        for service in ("taskmill-gateway", "taskmill-task-store", "taskmill-processor"):
            for body, headers in [*((body, b"") for body in FIXED[:20]), *((b"", block) for block in HEADERS)]:
                reply = await _ask(stack.session, f"$SRV.{verb}.{service}", body, headers)
                assert json.loads(reply.body)["name"] == service


async def test_what_is_no_report_is_set_aside(stack: Stack) -> None:
    """Byte for byte, with where it came by; what can be read of the rest counts, and nothing stays in the stream."""
    bodies = [*FIXED, *spoilt(golden("ReportBundle"), 10 * SPOILT_OF_EACH, seed=5)]
    sent = [(f"{subjects.PREFIX}.report.{place}", body, b"") for place in ("fuzz", "x.y", "ü") for body in FIXED]
    sent += [(f"{subjects.PREFIX}.report.fuzz", body, b"") for body in bodies]
    sent += [(f"{subjects.PREFIX}.report.fuzz", b"no report", headers) for headers in HEADERS]
    await _publish(stack.session, sent)
    stack.session.send(b"PUB tasks.v1.report.\xff\xfe 2\r\n{}\r\n")
    await _until_empty(stack.session, REPORTS_STREAM)

    aside = await _set_aside(stack.session, subjects.SET_ASIDE_REPORTS_SUBJECT)
    kept = {body for body, _ in aside}
    # An empty body is what the server says no responders with; it is no report either.
    assert [body[:80] for body in FIXED if body[: 768 * 1024] not in kept] == []
    assert {headers[REASON_HEADER] for _, headers in aside} <= {"unreadable", "refused"}
    assert {f"{subjects.PREFIX}.report.fuzz", f"{subjects.PREFIX}.report.\\xfc"} <= {
        headers[SUBJECT_HEADER] for _, headers in aside
    }
    await _serves(stack.services)
    # The operator is told, and may look.
    told = await asyncio.to_thread(look_at_nats, stack.nats_url, ["default"], seed=_seed(OPERATOR))
    assert [remark for remark in told if remark.level is Level.FAIL] == []
    assert [remark.level for remark in told if remark.what == "set aside"] == [Level.WARN]


async def test_what_is_no_work_is_set_aside(stack: Stack) -> None:
    """A processor ends the delivery, for it would not help to deliver it again; what comes behind it is done."""
    prefix = f"{subjects.PREFIX}.work.default.medium.echo"
    # Each on a subject of its own: the stream keeps one message of each.
    bodies = [body for body in FIXED if body not in golden("WorkItem")]
    await _publish(stack.session, [(f"{prefix}.fuzz-{number}", body, b"") for number, body in enumerate(bodies)])
    # Each of a task of its own, or the processor takes one for the redelivery of another.
    items = [body.replace(b"0f3e-8c2b", b"%04x-8c2b" % n) for n, body in enumerate(_spoilt_work())]
    await _publish(stack.session, [(f"{prefix}.item-{number}", body, b"") for number, body in enumerate(items)])
    await _until_empty(stack.session, WORK_STREAM)
    aside = {body for body, _ in await _set_aside(stack.session, subjects.SET_ASIDE_WORK_SUBJECT)}
    assert [body[:80] for body in bodies if body[: 768 * 1024] not in aside] == []
    await _serves(stack.services)


async def test_orders_and_events_that_are_none_harm_nobody(stack: Stack) -> None:
    """Processors pass over what is no order; a gateway hands on nothing that is no event, and goes on."""
    orders = [f"{subjects.PREFIX}.ctl.cancel.x", f"{subjects.PREFIX}.ctl.cancel.01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42"]
    places = [*orders, subjects.QUEUES_PAUSED_SUBJECT, subjects.RELAY_WAKE_SUBJECT]
    async with stack.services.client.stream("GET", "/events", headers={"Accept": "text/event-stream"}) as stream:
        assert stream.status_code == 200
        events = [f"{subjects.PREFIX}.event.{end}" for end in ("completed.echo.x", "x", "a.b.c.d.e")]
        messages = [(place, body, b"") for place in (*places, *events) for body in FIXED]
        messages += [(place, b"{}", headers) for place in (*places, *events) for headers in HEADERS]
        await _publish(stack.session, messages)
        await _serves(stack.services)
        told = stream.aiter_lines()
        async with asyncio.timeout(ANSWER_SECONDS):
            while "completed" not in await anext(told):
                pass


async def test_the_text_of_an_exception_reaches_nobody(stack: Stack) -> None:
    """What PostgreSQL says when it fails is told to no client, on NATS or over HTTP."""
    plant = """CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF NEW.title = 'Fail' THEN RAISE EXCEPTION 'canary-7d1f of the database'; END IF; RETURN NEW; END $$"""
    trigger = "CREATE TRIGGER fail BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION fail()"
    await run_sql(stack.database_url, plant, trigger)
    with capture_logs() as logs:
        try:
            body = {"id": "01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d99", "title": "Fail", "kind": "echo"}
            reply = await _ask(stack.session, registry.CREATE.subject, json.dumps(body).encode())
            bundle = json.dumps(body).encode()
            headers = b"NATS/1.0\r\nTaskmill-Bundle: %d\r\n\r\n" % len(bundle)
            bundled = await _ask(stack.session, subjects.bundle(registry.CREATE.subject), bundle, headers)
            http = await stack.services.client.post("/tasks", json={"title": "Fail"})
        finally:
            await run_sql(stack.database_url, "DROP TRIGGER fail ON tasks", "DROP FUNCTION fail()")
    assert [entry for entry in logs if entry.get("sqlstate") == "P0001"], "the exception was not planted"
    assert http.status_code >= 500
    for told in (reply.body, reply.headers, bundled.body, bundled.headers, http.content, str(http.headers).encode()):
        assert told is not None
        assert CANARY.encode() not in told


def _spoilt_work() -> Iterator[bytes]:
    return spoilt(golden("WorkItem"), 2 * SPOILT_OF_EACH, seed=7)


async def _publish(session: NatsSession, messages: Sequence[tuple[str, bytes, bytes]]) -> None:
    for start in range(0, len(messages), AT_ONCE):
        for subject, body, headers in messages[start : start + AT_ONCE]:
            if len(body) + len(headers) < 1024 * 1024:
                session.send(encode_publish(subject, "", body, headers))
        await session.flush(10)


async def _until_empty(session: NatsSession, stream: str) -> None:
    async def check_empty() -> None:
        info = await session.client.jetstream().stream_info(stream)
        # Its placeholder stays.
        assert info.state.messages <= 1

    await holds(check_empty, within_seconds=30)


async def _set_aside(session: NatsSession, subject: str) -> list[tuple[bytes, dict[str, Any]]]:
    subscription = await session.client.jetstream().subscribe(subject, stream=SET_ASIDE_STREAM, ordered_consumer=True)
    pending = (await subscription.consumer_info()).num_pending or 0
    found = []
    for _ in range(pending):
        message = await subscription.next_msg(5)
        found.append((message.data, dict(message.headers or {})))
    await subscription.unsubscribe()
    return found
