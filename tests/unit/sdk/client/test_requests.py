"""What a client sends, and where to."""

import asyncio
import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import httpx
import pytest

from taskmill.contracts.limits import MAX_BATCH_TASKS, MAX_BODY_BYTES
from taskmill.gateway.settings import GatewaySettings
from taskmill.sdk.client import ApiError, AsyncClient, Client, NoAnswerError, TaskToSubmit, UnreadableAnswerError, flows
from taskmill.sdk.client.connection import DEFAULT_URL

TASK_ID = "01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42"


def asked(base_url: str | None = None, *, api_key: str | None = None) -> httpx.Request:
    """The request by which a client deletes a task."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(204)

    with Client(base_url, api_key=api_key, transport=httpx.MockTransport(answer)) as client:
        client.delete(TASK_ID)
    [request] = requests
    return request


def test_where_the_gateway_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the argument says, or the environment, or where a gateway listens that nothing was set of."""
    assert asked().url == f"{DEFAULT_URL}/tasks/{TASK_ID}"
    assert GatewaySettings.model_fields["port"].default == httpx.URL(DEFAULT_URL).port
    assert GatewaySettings.model_fields["host"].default == httpx.URL(DEFAULT_URL).host
    monkeypatch.setenv("TASKMILL_URL", "https://tasks.example.org/api/")
    assert asked().url == f"https://tasks.example.org/api/tasks/{TASK_ID}"
    assert asked("http://other:1").url == f"http://other:1/tasks/{TASK_ID}"


def test_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said only if it is known."""
    assert "authorization" not in asked().headers
    monkeypatch.setenv("TASKMILL_API_KEY", "k1")
    assert asked().headers["authorization"] == "Bearer k1"
    assert asked(api_key="k2").headers["authorization"] == "Bearer k2"


@pytest.mark.parametrize("url", ["tasks.example.org", "ftp://x", "//x"])
def test_an_address_that_is_none(url: str) -> None:
    """It is refused when the client is made."""
    with pytest.raises(ValueError, match="http"):
        Client(url)


@pytest.mark.parametrize("name", ["attempts", "request_timeout_seconds", "retry_within_seconds"])
def test_a_bound_that_is_none(name: str) -> None:
    """Nothing is tried zero times, or for no time."""
    with pytest.raises(ValueError, match="more than 0"):
        Client(**{name: 0})  # type: ignore[arg-type]


def test_an_id_that_is_none() -> None:
    """It never becomes a path."""
    with Client() as client, pytest.raises(ValueError, match="UUID"):
        client.delete("../livez")


@pytest.mark.parametrize("name", ["a/b", "..", "a?b#c", "100%", "%2F", "zwei wörter", ""])
def test_a_name_is_one_step_of_a_path(name: str) -> None:
    """Whatever text it is."""
    paths: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.raw_path)
        return httpx.Response(404)

    with Client(transport=httpx.MockTransport(answer)) as client:
        for call in (client.pause_queue, client.resume_queue, client.drain_processor):
            with pytest.raises(ApiError):
                call(name)
    step = {"..": b"%2E%2E"}.get(name, quote(name, safe="").encode())
    assert paths == [b"/queues/%b/pause" % step, b"/queues/%b/resume" % step, b"/processors/%b/drain" % step]


def test_attempts_come_to_an_end() -> None:
    """With the error of the last one."""
    count = 0

    def refuse(request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        raise httpx.ConnectError("refused", request=request)

    with Client(attempts=3, transport=httpx.MockTransport(refuse)) as client, pytest.raises(NoAnswerError):
        client.get(TASK_ID)
    assert count == 3


def batches(tasks: list[TaskToSubmit]) -> list[list[dict[str, object]]]:
    """The tasks as they are parted; each body fits."""
    bodies = list(flows._batches(tasks, process=True))
    assert all(len(body) <= MAX_BODY_BYTES for body in bodies)
    return [json.loads(body)["tasks"] for body in bodies]


def test_many_tasks_are_parted_by_number() -> None:
    """In order, none left out."""
    parts = batches([{"kind": "echo", "payload": number} for number in range(2 * MAX_BATCH_TASKS + 1)])
    assert [len(part) for part in parts] == [MAX_BATCH_TASKS, MAX_BATCH_TASKS, 1]
    assert [task["payload"] for part in parts for task in part] == list(range(2 * MAX_BATCH_TASKS + 1))
    assert parts[0][0] == {"title": "echo", "kind": "echo", "payload": 0, "process": True}
    assert batches([]) == []


def test_many_tasks_are_parted_by_size() -> None:
    """Also when a single one would not fit with another."""
    parts = batches([{"kind": "echo", "payload": "x" * 250_000, "process": False} for _ in range(7)])
    assert [len(part) for part in parts] == [3, 3, 1]


def test_a_trace_goes_on() -> None:
    """By the argument, or with the span that OpenTelemetry has; without one there is nothing to say."""
    from opentelemetry import trace

    span_id = trace.SpanContext(trace_id=1, span_id=2, is_remote=False, trace_flags=trace.TraceFlags(1))
    assert flows.trace_headers(None) == {}
    with trace.use_span(trace.NonRecordingSpan(span_id)):
        assert flows.trace_headers(None) == {"traceparent": f"00-{1:032x}-{2:016x}-01"}
        assert flows.trace_headers("00-a-b-00") == {"traceparent": "00-a-b-00"}


def test_handlers_load_no_client() -> None:
    """A processor that sends no requests has neither httpx nor stamina: they take memory in each process."""
    imports = (
        "import sys, taskmill.sdk.loading, taskmill.processor.bootstrap; from taskmill.sdk import TaskApp, Context\n"
        "from taskmill.processor.handlers import builtin_app; from taskmill.processor.adapters.outside import Outside\n"
        "builtin_app(Outside(None, None, 1))"
    )
    found = "print([name for name in ('httpx', 'httpx_sse', 'stamina', 'taskmill.sdk.client') if name in sys.modules])"
    program = f"{imports}; {found}; from taskmill.sdk import Client, AsyncClient; {found}"
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 -- our own
    assert output.splitlines() == ["[]", "['httpx', 'httpx_sse', 'stamina', 'taskmill.sdk.client']"]


def test_the_sdk_has_nothing_else() -> None:
    """An unknown name is an error as in any module."""
    import taskmill.sdk

    with pytest.raises(AttributeError, match="Cleint"):
        taskmill.sdk.Cleint  # noqa: B018


@pytest.mark.parametrize("api_key", ["a\n", "\u00fc"])
def test_a_key_that_cannot_be_sent_is_refused(api_key: str) -> None:
    """When it is given, not by each request."""
    with pytest.raises(ValueError, match="the API key"):
        Client(api_key=api_key)


def test_an_answer_that_cannot_be_decoded_is_unreadable() -> None:
    """As any that is not of the API."""

    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"none"))

    with Client(transport=httpx.MockTransport(answer)) as client, pytest.raises(UnreadableAnswerError):
        client.get(TASK_ID)


@pytest.mark.parametrize("base_url", ["ftp://a", "http://[::1", "http://a\n"])
def test_what_is_no_address_is_refused(base_url: str) -> None:
    """As what it is, whatever httpx makes of it."""
    with pytest.raises(ValueError, match="the base URL"):
        Client(base_url)


_FORKING = """
import os, sys
from taskmill.sdk.client import Client, NotFoundError

def ask():
    try:
        client.get("01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42")
    except NotFoundError:
        return

client = Client(sys.argv[1])
ask()
if (child := os.fork()) == 0:
    ask()
    os._exit(0)
_, status = os.waitpid(child, 0)
ask()
sys.exit(status)
"""


def test_a_process_that_is_forked_has_connections_of_its_own() -> None:
    """On one that both have, each could read what the other was answered."""
    asked_from: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked_from.append(self.client_address[1])
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        subprocess.run([sys.executable, "-c", _FORKING, url], check=True, timeout=60)  # noqa: S603 -- our own program
        server.shutdown()
    parent, child, parent_again = asked_from
    assert parent == parent_again != child


def test_an_async_client_belongs_to_one_event_loop() -> None:
    """In another one it says so, instead of failing somewhere below."""
    client = AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(204)))
    asyncio.run(client.delete(TASK_ID))
    with pytest.raises(RuntimeError, match="one event loop only"):
        asyncio.run(client.delete(TASK_ID))


@pytest.mark.parametrize("given", ["123", "../tasks", 7, b"x" * 16, None, ["01920f3e"]])
def test_what_is_no_id_is_named(given: object) -> None:
    """Before anything is asked."""
    with (
        Client(transport=httpx.MockTransport(lambda _: pytest.fail("asked"))) as client,
        pytest.raises(ValueError, match=f"an id is a UUID, and this is none: {re.escape(repr(given))[:9]}"),
    ):
        client.get(given)  # type: ignore[call-overload]
