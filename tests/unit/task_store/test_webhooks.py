"""Which events a webhook is told, the tasks that tell them, and when these are tried."""

import base64
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from taskmill.contracts.errors import InvalidRequestError
from taskmill.contracts.reports import Failed
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import TaskError
from taskmill.contracts.webhooks import DELIVERY_LADDER_SECONDS, CreateWebhook
from taskmill.processor.handlers.webhook_delivery import ladder_seconds
from taskmill.task_store.domain.creation import decide_create
from taskmill.task_store.domain.reports import Hearing, decide_report
from taskmill.task_store.domain.retries import NO_DEFAULTS
from taskmill.task_store.domain.runs import decide_due
from taskmill.task_store.domain.state import TaskState
from taskmill.task_store.domain.webhooks import (
    TellableEvent,
    WebhookState,
    changed_webhook,
    deliveries,
    delivery,
    new_webhook,
    rotated_webhook,
    wants,
)
from tests.support.task_states import NOW, RULES, TASK_ID, no_jitter

HOOK_ID = UUID("01a20000-0000-7000-8000-0000000000aa")
SECRET = "whsec_" + base64.b64encode(b"s" * 24).decode()


def webhook(**fields: Any) -> WebhookState:
    """A new webhook."""
    request = {"id": HOOK_ID, "url": "https://example.org/", "secret": SECRET, **fields}
    return new_webhook(CreateWebhook.model_validate(request), NOW)


def event(
    position: int = 5, event_type: str = "completed", *, kind: str = "echo", queue: str = "default", **labels: str
) -> TellableEvent:
    """An event of the log."""
    data = {"kind": kind, "queue": queue, **({"labels": labels} if labels else {})}
    document = {"id": f"{TASK_ID}.{position}", "time": "2026-11-24T12:00:00.123456Z", "data": data}
    return TellableEvent(position, event_type, kind, orjson.dumps(document).decode())


@pytest.mark.parametrize(
    ("conditions", "is_wanted"),
    [
        ({}, True),
        ({"types": ["failed", "completed"]}, True),
        ({"types": ["failed"]}, False),
        ({"kind": "echo"}, True),
        ({"kind": "sleep"}, False),
        ({"queue": "default"}, True),
        ({"queue": "other"}, False),
        ({"labels": ["team"]}, True),
        ({"labels": ["team:web", "urgent:"]}, True),
        ({"labels": ["team:we"]}, False),
        ({"labels": ["team:web", "owner"]}, False),
        ({"types": ["completed"], "kind": "echo", "queue": "default", "labels": ["team:web"]}, True),
        ({"types": ["completed"], "kind": "echo", "queue": "other", "labels": ["team:web"]}, False),
    ],
)
def test_an_event_has_to_meet_every_condition(conditions: dict[str, Any], is_wanted: bool) -> None:
    """Those that are not given are met by all."""
    assert wants(webhook(**conditions), event(team="web", urgent="")) is is_wanted


def test_what_is_told_of_deliveries_is_not_delivered() -> None:
    """Neither of their kind, wherever it is, nor of their queue, whatever it is."""
    hooks = [webhook()]
    assert len(deliveries(hooks, [event()])) == 1
    assert deliveries(hooks, [event(kind="webhook-delivery"), event(queue="webhooks")]) == []


def test_a_webhook_is_told_what_happens_after_it_was_made() -> None:
    """Though others are told of what was before."""
    old, new = webhook(), webhook(types=["failed", "completed"])._replace(since_position=5)
    found = [(told.position, task.labels) for told, task in deliveries([old, new], [event(5), event(6)])]
    assert [position for position, _ in found] == [5, 6, 6]


def test_a_delivery_is_always_the_same_task() -> None:
    """Its id follows from webhook, event and replay; it is a UUID of version 7, of the time of the event."""
    first = delivery(HOOK_ID, event())
    assert first == delivery(HOOK_ID, event())
    others = [
        delivery(TASK_ID, event()),
        delivery(HOOK_ID, event(6)),
        delivery(HOOK_ID, event(), UUID(int=1)),
        delivery(HOOK_ID, event(), UUID(int=2)),
    ]
    assert len({task.id for task in [first, *others]}) == 5
    assert (first.id.version, first.id.variant) == (7, "specified in RFC 4122")
    assert datetime.fromtimestamp((first.id.int >> 80) / 1000, NOW.tzinfo) == datetime.fromisoformat(
        "2026-11-24T12:00:00.123Z"
    )


def test_a_delivery_tells_no_secret() -> None:
    """Whoever may read tasks sees neither where it goes nor what it is signed with."""
    text = delivery(HOOK_ID, event()).model_dump_json()
    assert "example.org" not in text
    assert "whsec" not in text


def test_a_delivery_is_tried_as_the_ladder_says() -> None:
    """On a clock that is put forward: at once, then at each step, and after three days it has failed."""
    task = decide_create(delivery(HOOK_ID, event()), NO_DEFAULTS, NOW).state
    now, tried_after = NOW, []
    while task.status is TaskStatus.QUEUED:
        tried_after.append((now - NOW).total_seconds())
        task = _broken(task, now)
        if task.run_at is not None:
            assert decide_due(task, task.run_at - timedelta(microseconds=1)).state is task
            now = task.run_at
            task = decide_due(task, now).state
    steps = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert list(DELIVERY_LADDER_SECONDS) == steps
    assert tried_after == [sum(steps[:count]) for count in range(10)]
    assert task.status is TaskStatus.FAILED
    assert (now - NOW) == timedelta(hours=75, minutes=35, seconds=5)


def _broken(task: TaskState, now: datetime) -> TaskState:
    """A delivery after its receiver has answered 500, as the handler tells it."""
    report = Failed(
        task_id=task.id,
        attempt=task.attempt,
        dispatch=task.dispatch,
        delivery=1,
        started_at=now,
        finished_at=now,
        error=TaskError(code="bad_status", message="The receiver answered 500."),
        retry_after_seconds=ladder_seconds(task.attempt, task.attempt_limit),
    )
    return decide_report(task, report, Hearing("processor-1", now, RULES, NO_DEFAULTS, no_jitter)).state


def test_a_change_is_a_merge_patch() -> None:
    """What is left out stays, null clears, and the outcome must be a webhook."""
    before = webhook(description="bills", types=["failed"], kind="echo")
    after = changed_webhook(before, {"types": None, "kind": "sleep"}, NOW)
    assert (after.description, after.types, after.kind) == ("bills", [], "sleep")
    with pytest.raises(InvalidRequestError):
        changed_webhook(before, {"url": None}, NOW)


def test_why_a_webhook_is_off_is_kept_until_it_is_on() -> None:
    """Another change of one that its receiver gave up does not make it one that a client switched off."""
    gone = webhook()._replace(is_enabled=False, switched_off_reason="gone")
    assert changed_webhook(gone, {"description": "x"}, NOW).switched_off_reason == "gone"
    assert changed_webhook(gone, {"is_enabled": True}, NOW).switched_off_reason is None
    assert changed_webhook(webhook(), {"is_enabled": False}, NOW).switched_off_reason == "client"


def test_a_rotation_keeps_the_newest_secret_but_one() -> None:
    """And one that is given again is not kept twice."""
    hook = rotated_webhook(rotated_webhook(webhook(), "b", NOW), "c", NOW)
    assert hook.secrets == ["c", "b"]
    assert rotated_webhook(hook, "c", NOW).secrets == ["c"]


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "ftp://example.org/"},
        {"url": "https://"},
        {"url": "https:///example.org"},
        {"url": "https:example.org"},
        {"url": "https://example.org:0/"},
        {"url": "https://user:password@example.org/"},
        {"url": "https://example.org\\@10.0.0.1/"},
        {"url": "https://example.org/a\\b"},
        {"url": "/hook"},
        {"url": "https://example.org/ü"},
        {"url": "https://example.org/a b"},
        {"url": "https://example.org/" + "a" * 2_048},
        {"types": ["paid"]},
        {"labels": ["a:1", "a:2"]},
        {"labels": ["not a key"]},
        {"secret": "whsec_"},
        {"secret": "whsec_" + base64.b64encode(b"s" * 23).decode()},
        {"secret": "whsec_" + base64.b64encode(b"s" * 65).decode()},
        {"secret": base64.b64encode(b"s" * 24).decode()},
        {"secret": "whsec_ä" + base64.b64encode(b"s" * 24).decode()},
    ],
)
def test_what_is_no_webhook_is_refused(fields: dict[str, Any]) -> None:
    """An address that cannot be sent to, a condition that nothing meets, a secret that signs nothing."""
    with pytest.raises(ValueError, match="validation error"):
        webhook(**fields)
