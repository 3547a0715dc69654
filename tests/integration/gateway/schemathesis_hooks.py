"""Has Schemathesis name what there is, in requests that are meant to be accepted; it runs in an environment of its own.

No schema tells which ids exist, in which revision something is, and what of a body goes together.
"""

import os
import time
import uuid
from typing import Any

import requests
import schemathesis
from schemathesis import Case, HookContext

_URL = os.environ["FUZZED_URL"]
_HEADERS = {"Authorization": os.environ["FUZZED_AUTHORIZATION"]}

_OF_NO_TASK = {"kind": "none"}
_NEW: dict[str, tuple[str, dict[str, Any]]] = {
    "task_id": ("/tasks/batch", {"tasks": [{"title": "a task"}] * 100}),
    # Hardly any event is delivered, or there would be ever more tasks.
    "webhook_id": ("/webhooks", {"url": "https://example.org/", **_OF_NO_TASK}),
    "operation_id": ("/tasks/bulk", {"action": "delete", "filter": _OF_NO_TASK, "dry_run": True}),
    "key_id": ("/keys", {"name": "a key", "scopes": ["tasks:read"]}),
    "replay_id": ("/events/replay", {"name": "nobody", "after": 0, "until": 0}),
}
_LATER = "2100-01-01T00:00:00Z"
_MAX_REPLAYED = 1_000_000
_EDITABLE = {"title", "description", "queue", "priority", "labels", "payload", "max_attempts", "backoff"}
_EDITABLE |= {"timeout_seconds", "kind"}

_client = requests.Session()
_kept: dict[str, str] = {}
_tasks: list[str] = []


def _ask(method: str, path: str, body: Any = None) -> Any:
    answer = _client.request(method, f"{_URL}{path}", json=body, headers=_HEADERS, timeout=15)
    answer.raise_for_status()
    return answer.json()


def _new(name: str) -> str:
    if name == "task_id" and _tasks:
        return _tasks.pop()
    made = _ask("POST", *_NEW[name])
    if name == "task_id":
        _tasks.extend(task["id"] for task in made["items"])
        return _tasks.pop()
    return str(made["id"])


def _ended_delivery() -> dict[str, str]:
    """Webhook and task of a delivery that can be made again."""
    if "delivery" not in _kept:
        webhook = {"url": "https://example.org/", "kind": "delivered", "types": ["created"]}
        _kept["delivering"] = _ask("POST", "/webhooks", webhook)["id"]
        _ask("POST", "/tasks", {"title": "told", "kind": "delivered"})
        ends_at = time.monotonic() + 15
        while not (found := _ask("GET", f"/webhooks/{_kept['delivering']}/deliveries")["items"]):
            assert time.monotonic() < ends_at, "no delivery"
            time.sleep(0.1)
        _kept["delivery"] = found[0]["task_id"]
    _client.post(f"{_URL}/tasks/{_kept['delivery']}/cancel", headers=_HEADERS, timeout=15)
    return {"webhook_id": _kept["delivering"], "task_id": _kept["delivery"]}


@schemathesis.hook
def before_call(_context: HookContext, case: Case, _arguments: dict[str, Any]) -> None:
    """Put in what exists: new where it is changed, so that it is in its first revision."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.meta.phase.name != "stateful":
        _put_ids(case)
    for header in list(case.headers):
        if header.lower() == "idempotency-key":
            case.headers[header] = uuid.uuid4().hex
    case.query.pop("cursor", None)
    if case.operation.definition.raw["operationId"] == "listEvents":
        case.query.pop("after", None)
    if isinstance(case.query.get("label"), list):
        case.query["label"] = _without_repeated_keys(case.query["label"])
    if isinstance(case.body, dict):
        case.body = _with_integers(case.body)
        _mend(case.operation.definition.raw["operationId"], case.path_parameters, case.body)


def _put_ids(case: Case) -> None:
    operation = case.operation.definition.raw["operationId"]
    if operation == "redeliver":
        case.path_parameters.update(_ended_delivery())
        return
    for name in _NEW.keys() & case.path_parameters.keys():
        if case.method != "GET":
            case.path_parameters[name] = _new(name)
        else:
            case.path_parameters[name] = _kept.get(name) or _kept.setdefault(name, _new(name))
    if operation == "getProblemKind":
        case.path_parameters["code"] = "task_not_found"
    for header in list(case.headers):
        if header.lower() == "if-match":
            case.headers[header] = '"1"'


def _with_integers(value: Any) -> Any:
    """To JSON Schema 1.0 is an integer."""
    if isinstance(value, dict):
        return {key: _with_integers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_integers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _without_repeated_keys(labels: list[str]) -> list[str]:
    return list({label.partition(":")[0]: label for label in labels}.values())


def _mend(operation: str, path: dict[str, Any], body: dict[str, Any]) -> None:
    """Have the fields of a body go together."""
    if isinstance(body.get("labels"), list):
        body["labels"] = _without_repeated_keys(body["labels"])
    if body.get("url") and "ebhook" in operation:
        body["url"] = "https://example.org/"
    if operation in {"replayToSubject", "replayToWebhook"}:
        body["after"] = 0
        if body.get("until") is not None:
            body["until"] %= _MAX_REPLAYED
    _mend_times(operation, body)
    if operation == "replaceTask":
        found = _client.get(f"{_URL}/tasks/{path['task_id']}", headers=_HEADERS, timeout=15)
        # It is not there where one request follows from another that failed.
        now = found.json() if found.ok else {}
        body.update({name: now.get(name) for name in body if name not in _EDITABLE})
    if operation == "startBulkOperation":
        _mend_bulk_operation(body)


def _mend_times(operation: str, body: dict[str, Any]) -> None:
    for timed in (body, *(body["tasks"] if operation == "createTasks" else ())):
        for name in ("run_at", "expires_at"):
            if timed.get(name) is not None:
                timed[name] = _LATER
    if operation in {"createSchedule", "replaceSchedule", "patchSchedule"}:
        # Hundreds of them would keep the store busy with their tasks.
        body["is_paused"] = True


def _mend_bulk_operation(body: dict[str, Any]) -> None:
    if body["action"] != "delete":
        body.pop("force", None)
    if body.get("ids"):
        body["ids"] = list(dict.fromkeys(body["ids"]))
        body.pop("filter", None)
    else:
        body.pop("ids", None)
        if not body.get("filter"):
            body["filter"] = _OF_NO_TASK
