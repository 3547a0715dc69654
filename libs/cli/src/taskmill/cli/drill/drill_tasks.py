"""The tasks of a drill, over REST: posted, listed, and read as a client would."""

import http.client
import json
import time
import uuid
from collections.abc import Iterator
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from taskmill.cli.drill.errors import GatewayAwayError, RequestRefusedError
from taskmill.contracts.events import EventPage
from taskmill.contracts.limits import MAX_BATCH_TASKS, MAX_PAGE_ITEMS
from taskmill.contracts.requests import CreateTasksReply, TaskPage
from taskmill.contracts.tasks import TaskSummary
from taskmill.runtime.backoff import Backoff

_LABEL = "drill"
_SLEEP_SECONDS = 0.5
"""Long enough for work to be under way when it is counted; short enough for a drill to end soon."""

_ANSWER_WITHIN_SECONDS = 15.0
_MAY_SUCCEED_LATER = frozenset({http.HTTPStatus.SERVICE_UNAVAILABLE, http.HTTPStatus.TOO_MANY_REQUESTS})


class DrillTasks:
    """One drill's tasks, told from all others by the label `drill=<id>`.

    Each request is made again until it is answered: the gateway answers 503 while NATS is away, and what was posted
    under an Idempotency-Key is stored once however often it was posted.

    Args:
        gateway_url: Where the gateway is.
        drill_id: Names the drill.
        deadline: Until when a request is made again, as `time.monotonic` counts.
    """

    def __init__(self, gateway_url: str, drill_id: str, *, deadline: float) -> None:
        self._url = gateway_url
        self._drill_id = drill_id
        self._deadline = deadline
        self.repeats = 0
        """How many requests had to be made again."""

    def post(self, count: int) -> list[UUID]:
        """Create tasks that are processed at once; return their ids when they are stored.

        Raises:
            GatewayAwayError: They could not be stored in time.
            RequestRefusedError: The gateway does not want them.
        """
        accepted: list[UUID] = []
        while count > len(accepted):
            tasks = [self._task() for _ in range(min(MAX_BATCH_TASKS, count - len(accepted)))]
            answer = self._ask(
                "POST", "/tasks/batch", body=json.dumps({"tasks": tasks}), idempotency_key=str(uuid.uuid4())
            )
            accepted += [receipt.id for receipt in CreateTasksReply.model_validate_json(answer).items]
        return accepted

    def all(self) -> Iterator[TaskSummary]:
        """Yield every task of the drill.

        Raises:
            GatewayAwayError: They could not be listed in time.
        """
        query = {"label": f"{_LABEL}:{self._drill_id}", "limit": MAX_PAGE_ITEMS}
        cursor: str | None = ""
        while cursor is not None:
            page = TaskPage.model_validate_json(
                self._ask("GET", f"/tasks?{urlencode(query | ({'cursor': cursor} if cursor else {}))}")
            )
            yield from page.items
            cursor = page.next_cursor

    def history(self, task_id: UUID) -> list[str]:
        """Return the types of a task's events, oldest first.

        Raises:
            GatewayAwayError: They could not be read in time.
        """
        answer = self._ask("GET", f"/tasks/{task_id}/events?limit={MAX_PAGE_ITEMS}")
        return [event.type for event in EventPage.model_validate_json(answer).items]

    def _task(self) -> dict[str, object]:
        return {
            "title": "Drill",
            "kind": "sleep",
            "payload": {"seconds": _SLEEP_SECONDS, "steps": 1},
            "labels": {_LABEL: self._drill_id},
            "process": True,
        }

    def _ask(self, method: str, path: str, *, body: str | None = None, idempotency_key: str | None = None) -> bytes:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        backoff = Backoff(base_seconds=0.1, cap_seconds=1)
        while time.monotonic() < self._deadline:
            try:
                status, answer = self._ask_once(method, path, body, headers)
            except (OSError, http.client.HTTPException):
                status, answer = http.HTTPStatus.SERVICE_UNAVAILABLE, b""
            if status < http.HTTPStatus.BAD_REQUEST:
                return answer
            if status not in _MAY_SUCCEED_LATER:
                raise RequestRefusedError(status, answer.decode(errors="replace"))
            self.repeats += 1
            time.sleep(backoff.next())
        raise GatewayAwayError(self._url)

    def _ask_once(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> tuple[int, bytes]:
        address = urlsplit(self._url)
        seconds_left = max(0.1, self._deadline - time.monotonic())
        connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=min(_ANSWER_WITHIN_SECONDS, seconds_left)
        )
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
