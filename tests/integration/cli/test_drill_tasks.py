"""A drill's tasks are posted until they are stored, and once."""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from taskmill.cli.drill.drill_tasks import DrillTasks
from taskmill.cli.drill.errors import GatewayAwayError, RequestRefusedError


class FakeGateway(ThreadingHTTPServer):
    """Answers with the statuses that it is given, the last of them for ever."""

    def __init__(self, statuses: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), FakeGatewayRequest)
        self.statuses = statuses
        self.keys: list[str | None] = []


class FakeGatewayRequest(BaseHTTPRequestHandler):
    """One request to it."""

    server: FakeGateway

    def do_POST(self) -> None:
        """Answer, with a receipt for each task."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.keys.append(self.headers["Idempotency-Key"])
        status = self.server.statuses.pop(0) if len(self.server.statuses) > 1 else self.server.statuses[0]
        answer = json.dumps({"items": [self._receipt(task) for task in body["tasks"]]}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the base class)
        """Say nothing."""

    def _receipt(self, task: dict[str, object]) -> dict[str, object]:
        fixed = {"queue": "default", "priority": "medium", "status": "queued", "version": 2, "revision": 2}
        created = {"id": str(uuid.uuid4()), "created_at": "2026-01-01T00:00:00Z"}
        return {"title": task["title"], "kind": task["kind"], **fixed, **created}


@contextmanager
def gateway(*statuses: int) -> Iterator[FakeGateway]:
    """Yield a gateway that serves."""
    with FakeGateway(list(statuses)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def drill_tasks(server: FakeGateway, *, within_seconds: float = 10) -> DrillTasks:
    """The tasks of a drill on it."""
    url = f"http://127.0.0.1:{server.server_port}"
    return DrillTasks(url, "a-drill", deadline=time.monotonic() + within_seconds)


def test_what_is_refused_for_now_is_posted_again_under_the_same_key() -> None:
    """503 and 429 mean later; the key keeps a task from being created twice. More than a batch has another key."""
    with gateway(503, 429, 201) as server:
        tasks = drill_tasks(server)
        assert len(tasks.post(1_001)) == 1_001
    first, *repeated, second_batch = server.keys
    assert repeated == [first, first]
    assert first != second_batch
    assert tasks.repeats == 2


def test_what_is_wrong_is_not_posted_again() -> None:
    """It is told instead."""
    with gateway(422) as server, pytest.raises(RequestRefusedError, match="422"):
        drill_tasks(server).post(1)
    assert len(server.keys) == 1


def test_an_outage_that_lasts_is_told() -> None:
    """A drill does not wait for ever."""
    with gateway(503) as server, pytest.raises(GatewayAwayError):
        drill_tasks(server, within_seconds=0.15).post(1)
