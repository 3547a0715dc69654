"""What an operator sees of a stack: one trace for each task, metrics of every process, and logs that keep secrets."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import nats
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.machine import server_directory
from taskmill.cli.embedded.ports import free_port
from taskmill.contracts import subjects
from taskmill.contracts.status import Priority
from taskmill.contracts.streams import REPORTS_STREAM, WORK_STREAM
from tests.support.eventually import holds
from tests.support.otlp import OtlpReceiver, ReceivedSpan, otlp_receiver
from tests.support.receivers import Receiver, receiving
from tests.support.stack import TaskmillUp
from tools.metrics_reference import GATEWAY, PROCESSOR, TASK_STORE

pytestmark = pytest.mark.asyncio(loop_scope="module")

HANDLERS = """
import logging
from typing import Annotated
from opentelemetry import trace
from pydantic import AfterValidator, BaseModel
from taskmill.sdk import TaskApp

app = TaskApp("observed")
tracer = trace.get_tracer("of the handler's own")


@app.task("flaky")
async def flaky(payload, ctx):
    with tracer.start_as_current_span(f"own work {ctx.attempt}"):
        logging.getLogger("handlers").info("at work")
        if ctx.attempt == 1:
            raise RuntimeError("not yet: " + payload)


def refuse(value):
    raise ValueError("no good")


class Card(BaseModel):
    number: Annotated[str, AfterValidator(refuse)]


@app.task("typed")
def typed(payload: Card, ctx):
    raise AssertionError


@app.task("threaded")
def threaded(payload, ctx):
    with tracer.start_as_current_span("work in a thread"):
        logging.getLogger("handlers").info("at work in a thread")
    ctx.submit("echo", payload)
"""

CANARY = "canary-6b1f"
"""What must not be in any log; what follows it says where it was."""

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CLIENT_SPAN_ID = "b7ad6b7169203331"


@dataclass
class Observed:
    """A stack, and what can be seen of it."""

    stack: TaskmillUp
    client: httpx.AsyncClient
    receiver: OtlpReceiver
    metrics_port: int

    async def ended(self, body: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
        """Have a task made and processed; return it when it has ended."""
        created = await self.client.post("/tasks", json={"title": "t", "process": True, **body}, headers=headers)
        assert created.status_code == httpx.codes.CREATED, created.text
        answer = await self.client.get(f"/tasks/{created.json()['id']}", params={"wait": 20})
        task: dict[str, Any] = answer.json()
        assert task["status"] in {"completed", "failed"}, task
        return task

    @property
    def ports(self) -> dict[str, list[int]]:
        """Where the processes of each service tell their metrics."""
        first, *others = range(self.metrics_port, self.metrics_port + self.stack.stores + self.stack.processors)
        return {
            "gateway": self.stack.gateway_ports,
            "task-store": [first, *others[self.stack.processors :]],
            "processor": others[: self.stack.processors],
        }

    async def told_by(self, *services: str) -> list[dict[str, Any]]:
        """The metrics of each process of some services, by name."""
        return [await self._families(port) for service in services for port in self.ports[service]]

    async def _families(self, port: int) -> dict[str, Any]:
        answer = await self.client.get(f"http://127.0.0.1:{port}/metrics")
        assert answer.status_code == httpx.codes.OK, answer.text
        return {family.name: family for family in text_string_to_metric_families(answer.text)}

    def logs(self) -> dict[str, str]:
        """What every process has logged, and what the launcher has written."""
        files = sorted((self.stack.data_dir / "logs").iterdir())
        return {file.name: file.read_text(errors="replace") for file in files} | {"up": "\n".join(self.stack.output)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def observed() -> AsyncIterator[Observed]:
    """A stack with two processors, metrics and traces."""
    metrics_port = free_port()
    with server_directory() as directory, otlp_receiver() as receiver:
        (directory / "observed.py").write_text(HANDLERS)
        environment = {
            "TASKMILL_APPS": "observed:app",
            "PYTHONPATH": str(directory),
            "TASKMILL_METRICS_PORT": str(metrics_port),
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={CANARY}-otlp",
            "TASKMILL_NATS_PASSWORD": f"{CANARY}-nats",
            "TASKMILL_NATS_READER_PASSWORD": f"{CANARY}-reader",
            "TASKMILL_HTTP_ALLOW_PRIVATE": "true",
        }
        stack = TaskmillUp(directory / "data", processors=2, environment=environment)
        try:
            await stack.start()
            async with httpx.AsyncClient(base_url=stack.url, trust_env=False, timeout=30) as client:
                yield Observed(stack, client, receiver, metrics_port)
        finally:
            await stack.end()


async def test_one_trace_leads_from_the_request_over_a_retry_to_the_last_event(observed: Observed) -> None:
    """Each step belongs to the one that made it come: in the gateway, the store and the processor."""
    body = {
        "kind": "flaky",
        "payload": "p",
        "max_attempts": 2,
        "backoff": {"base_seconds": 0, "jitter": 0},
    }
    task = await observed.ended(body, {"traceparent": f"00-{TRACE_ID}-{CLIENT_SPAN_ID}-01"})
    way = [
        ("taskmill-gateway", "server", "POST /tasks"),
        ("taskmill-gateway", "client", "tasks.v1.cmd.create"),
        ("taskmill-task-store", "server", "tasks.v1.cmd.create"),
        ("taskmill-task-store", "producer", "dispatch default"),
        ("taskmill-processor", "consumer", "run flaky"),
        ("taskmill-task-store", "consumer", "report failed"),
        ("taskmill-task-store", "producer", "dispatch default"),
        ("taskmill-processor", "consumer", "run flaky"),
        ("taskmill-task-store", "consumer", "report completed"),
        ("taskmill-task-store", "producer", "event completed"),
    ]

    def check_way() -> list[ReceivedSpan]:
        spans = {span.id: span for span in observed.receiver.spans if span.trace_id == TRACE_ID}
        last = [span for span in spans.values() if span.name == way[-1][2]]
        assert len(last) == 1, sorted(span.name for span in spans.values())
        found = last
        while (parent := spans.get(found[0].parent_id)) is not None:
            found = [parent, *found]
        assert [(span.service, span.kind, span.name) for span in found] == way
        assert found[0].parent_id == CLIENT_SPAN_ID
        return found

    found = await holds(check_way)
    runs = [span for span in found if span.name == "run flaky"]
    assert [(span.attributes["taskmill.attempt"], span.is_failed) for span in runs] == [(1, True), (2, False)]
    assert {span.attributes["taskmill.task_id"] for span in runs} == {task["id"]}

    def check_own_spans() -> None:
        own = {span.name: span.parent_id for span in observed.receiver.spans if span.name.startswith("own work")}
        assert own == {f"own work {number}": run.id for number, run in enumerate(runs, 1)}

    await holds(check_own_spans)
    events = (await observed.client.get(f"/tasks/{task['id']}/events")).json()["items"]
    assert {event["traceparent"].split("-")[1] for event in events} == {TRACE_ID}
    assert events[-1]["traceparent"] == f"00-{TRACE_ID}-{found[-1].parent_id}-01"
    assert observed.receiver.refused == []


async def test_a_handler_in_a_thread_is_in_the_trace_and_so_is_what_it_submits(observed: Observed) -> None:
    """Its own spans belong to its run, and the task that it submits goes on in the same trace."""
    await observed.ended({"kind": "threaded"})

    def check_spans() -> None:
        spans = {span.name: span for span in observed.receiver.spans}
        assert {"work in a thread", "run echo"} <= spans.keys(), spans.keys()
        assert spans["work in a thread"].parent_id == spans["run threaded"].id
        assert spans["run echo"].trace_id == spans["run threaded"].trace_id != TRACE_ID

    await holds(check_spans)


async def test_the_lines_of_the_log_name_task_attempt_and_trace(observed: Observed) -> None:
    """What is logged while a handler is called says for whom, in the service's own lines and in the handler's."""
    headers = {"traceparent": f"00-{TRACE_ID[:-1]}d-{CLIENT_SPAN_ID}-01"}
    task = await observed.ended({"kind": "flaky", "payload": "p"}, headers)

    def lines() -> dict[str, dict[str, Any]]:
        logs = [text for name, text in observed.logs().items() if name.startswith("processor")]
        entries = [json.loads(line) for text in logs for line in text.splitlines()]
        return {entry["event"]: entry for entry in entries if entry.get("task_id") == task["id"]}

    found = lines()
    for event in ("at work", "attempt.failed"):
        assert (found[event]["attempt"], found[event]["trace_id"]) == (1, f"{TRACE_ID[:-1]}d"), found


async def test_every_process_tells_the_metrics_that_are_documented(observed: Observed) -> None:
    """No more and no less, each of its type; several processors have a port each."""
    assert (await observed.ended({"kind": "echo"}))["status"] == "completed"
    for service, metrics in (("gateway", GATEWAY), ("task-store", TASK_STORE), ("processor", PROCESSOR)):
        for families in await observed.told_by(service):
            told = {name: family.type for name, family in families.items() if name.startswith("taskmill_")}
            assert told == {metric.name.removesuffix("_total"): metric.type for metric in metrics}
            assert families["process_resident_memory_bytes"].samples


async def test_metrics_count_what_happened(observed: Observed) -> None:
    """Tasks, outcomes and times by kind, requests by command and operation; kinds that nobody serves go together."""
    before = await observed.told_by("task-store")
    key = {"Idempotency-Key": "once"}
    body = {"title": "t", "kind": "nobody-serves-this"}
    for _ in range(2):
        await observed.client.post("/tasks", json=body, headers=key)
    await observed.ended({"kind": "flaky", "payload": "p"})
    await observed.ended({"kind": "echo"})
    assert (await observed.client.get("/nowhere")).status_code == httpx.codes.NOT_FOUND
    after = await observed.told_by("task-store")

    def risen(family: str, sample: str, **labels: str) -> float:
        return _value(after, family, sample, labels) - _value(before, family, sample, labels)

    assert risen("taskmill_tasks_created", "_total", kind="other") == 1
    assert risen("taskmill_tasks_created", "_total", kind="echo") == 1
    assert risen("taskmill_tasks_finished", "_total", kind="flaky", outcome="failed") == 1
    assert risen("taskmill_tasks_finished", "_total", kind="echo", outcome="completed") == 1
    assert risen("taskmill_idempotent_replays", "_total") == 1
    for family, labels in (
        ("taskmill_task_queue_wait_seconds", {"queue": "default"}),
        ("taskmill_task_run_seconds", {"kind": "echo", "outcome": "completed"}),
        ("taskmill_task_end_to_end_seconds", {"kind": "flaky"}),
        ("taskmill_request_seconds", {"command": "create", "code": "ok"}),
    ):
        assert risen(family, "_count", **labels) >= 1, family
        assert risen(family, "_sum", **labels) > 0, family
    gateways, http = await observed.told_by("gateway"), "taskmill_http_request_seconds"
    assert _value(gateways, http, "_count", {"operation": "createTask", "status": "201"}) >= 3
    assert _value(gateways, http, "_count", {"operation": "none", "status": "404"}) == 1


async def test_messages_that_cannot_be_read_are_counted(observed: Observed) -> None:
    """They are given up, which somebody has to know."""
    nats_url = observed.stack.entries()["nats-server"]["url"]
    assert nats_url is not None
    connection = await nats.connect(nats_url, user="taskmill", password=f"{CANARY}-nats")
    try:
        for subject in (subjects.report("x"), subjects.work("default", Priority.HIGH, "echo", UUID(int=1))):
            await connection.jetstream().publish(subject, f"{CANARY}-garbage".encode())
    finally:
        await connection.close()

    async def check_counted() -> None:
        told = await observed.told_by("task-store", "processor")
        for stream in (REPORTS_STREAM, WORK_STREAM):
            assert _value(told, "taskmill_set_aside", "_total", {"stream": stream}) == 1, stream

    await holds(check_counted)


async def test_gauges_follow_queues_and_streams(observed: Observed) -> None:
    """How many wait in a queue that nobody serves, and for how long; how many processors there are, and who listens."""
    await observed.client.post("/tasks", json={"title": "t", "queue": "unserved", "process": True})
    async with observed.client.stream("GET", "/events", headers={"Accept": "text/event-stream"}) as stream:
        assert stream.status_code == httpx.codes.OK
        assert _value(await observed.told_by("gateway"), "taskmill_sse_clients", "", {}) == 1

    async def check_gauges() -> None:
        stores = await observed.told_by("task-store")
        # Each store tells of the whole.
        for store in ([store] for store in stores):
            assert _value(store, "taskmill_queue_depth", "", {"queue": "unserved", "priority": "medium"}) == 1
            assert _value(store, "taskmill_oldest_queued_age_seconds", "", {"queue": "unserved"}) > 0
            assert _value(store, "taskmill_queue_processors", "", {"queue": "unserved"}) == 0
            assert _value(store, "taskmill_queue_processors", "", {"queue": "default"}) == observed.stack.processors
            assert _value(store, "taskmill_processors", "", {}) == observed.stack.processors
            assert _value(store, "taskmill_relay_backlog", "", {}) == 0
        assert _value(stores, "taskmill_store_leads", "", {}) == 1

    await holds(check_gauges, within_seconds=15)


async def test_no_log_has_what_clients_and_operators_entrust(observed: Observed) -> None:
    """Payloads, results, labels, secrets, credentials and passwords are in no line of any process, whatever fails."""
    headers = {"Cookie": f"session={CANARY}-cookie"}
    refused = await observed.client.get("/tasks", headers={"Authorization": f"Bearer {CANARY}-bearer"})
    assert refused.status_code == httpx.codes.UNAUTHORIZED
    labels = {"customer": f"{CANARY}-label"}
    secret = "whsec_" + "Y2FuYXJ5LTZiMWYtc2VjcmV0LWNhbmFyeS02YjFm"
    receiver = Receiver(status="500 Internal Server Error")
    async with receiving(receiver):
        webhook = {"url": f"{receiver.url}?token={CANARY}-token", "secret": secret, "types": ["completed", "failed"]}
        made = await observed.client.post("/webhooks", json=webhook, headers=headers)
        assert made.status_code == httpx.codes.CREATED, made.text
        url = f"http://user:{CANARY}-password@127.0.0.1:9/?key={CANARY}-query"
        for body in (
            {"kind": "echo", "payload": {"card": f"{CANARY}-payload"}},
            {"kind": "flaky", "payload": f"{CANARY}-failing"},
            {"kind": "typed", "payload": {"number": f"{CANARY}-typed"}},
            {"kind": "http-request", "payload": {"url": url, "headers": {"X-Key": f"{CANARY}-header"}}},
        ):
            await observed.ended({**body, "labels": labels, "description": f"{CANARY}-text"}, headers)
        for content in (f'{{"title": "{CANARY}-broken', f'{{"{CANARY}-field": 1}}', '{"title": 1e999}'):
            answer = await observed.client.post("/tasks", content=content, headers=headers)
            assert answer.is_client_error, answer.text
        await observed.client.get(f"/tasks?cursor={CANARY}-cursor", headers=headers)
        # The error path of servers that go away.
        await observed.stack.kill("nats-server")
        await observed.stack.kill("postgres")
        await observed.ended({"kind": "echo", "payload": f"{CANARY}-after"}, headers)

        def check_told() -> None:
            assert receiver.requests

        await holds(check_told)
    # What a handler says in an exception is its own affair, and stands in the log: so others would be found there, too.
    assert any(f"{CANARY}-failing" in text for text in observed.logs().values())
    secrets = re.compile(rf"[^\n]*(?:{CANARY}(?!-failing)|{re.escape(secret)})[^\n]*")
    found = {name: secrets.findall(text) for name, text in observed.logs().items()}
    assert {name: lines for name, lines in found.items() if lines} == {}


def _value(told: list[dict[str, Any]], family: str, suffix: str, labels: dict[str, str]) -> float:
    """The sum of one sample over processes; 0: it is not there yet."""
    samples = [sample for families in told for sample in families[family].samples]
    return sum(float(it.value) for it in samples if it.name == family + suffix and it.labels.items() >= labels.items())
