"""Examples for the OpenAPI document. A test holds each against its model."""

from typing import Any

TASK_ID = "01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42"
OPERATION_ID = "01920f3e-9a10-7b1c-8f0e-5d2c1b0a9e84"
GROUP_ID = "01920f3e-9b31-7d20-a1c4-6e2f0d1b8c95"

NEW_TASK = {
    "title": "Fetch the front page",
    "kind": "http-request",
    "payload": {"method": "GET", "url": "https://example.org/"},
    "labels": {"team": "web"},
    "max_attempts": 5,
    "backoff": {"base_seconds": 2, "factor": 2, "cap_seconds": 300, "jitter": 0.1},
    "timeout_seconds": 30,
    "process": True,
}
NEW_TASKS = {"tasks": [{"title": "First", "payload": 1, "process": True}, {"title": "Second", "priority": "high"}]}
CHANGED_TASK = {"id": TASK_ID, "title": "Fetch the front page again", "priority": "high", "version": 1}
TASK_PATCH = {"description": None, "labels": {"team": None, "owner": "ada"}, "backoff": {"cap_seconds": 60}}

NEW_BULK_OPERATION = {
    "action": "process",
    "filter": {"status": ["failed"], "kind": "http-request", "created_after": "2026-11-24T00:00:00Z"},
}
BULK_OPERATION = {
    "id": OPERATION_ID,
    **NEW_BULK_OPERATION,
    "id_count": None,
    "dry_run": False,
    "force": False,
    "status": "completed",
    "waiting_for": None,
    "counts": {"matched": 200, "done": 199, "refused": 1},
    "refusals": {"run_active": 1},
    "created_at": "2026-11-24T12:00:00.000000Z",
    "finished_at": "2026-11-24T12:00:00.150000Z",
}

NEW_GROUP = {
    "title": "The front pages",
    "tasks": [
        {"title": "First", "kind": "http-request", "payload": {"url": "https://example.org/"}, "process": True},
        {"title": "Second", "kind": "http-request", "payload": {"url": "https://example.net/"}, "process": True},
    ],
    "on_completed": {"title": "Compare them", "payload": {"pages": 2}},
    "on_failed": None,
}
GROUP: dict[str, Any] = {
    "id": GROUP_ID,
    "title": "The front pages",
    "status": "open",
    "total": 2,
    "counts": {
        "pending": 0,
        "scheduled": 0,
        "queued": 1,
        "in_progress": 0,
        "completed": 1,
        "failed": 0,
        "cancelled": 0,
        "removed": 0,
    },
    "progress": 0.5,
    "on_completed_id": TASK_ID,
    "on_failed_id": None,
    "created_at": "2026-11-24T12:00:00.000000Z",
    "settled_at": None,
}
GROUP_PAGE = {"items": [GROUP], "next_cursor": None}

TASK = {
    "id": TASK_ID,
    "title": "Fetch the front page",
    "description": None,
    "kind": "http-request",
    "queue": "default",
    "priority": "medium",
    "labels": {"team": "web"},
    "status": "queued",
    "is_run_active": True,
    "version": 2,
    "revision": 1,
    "run": 1,
    "attempt": 1,
    "attempt_limit": 5,
    "max_attempts": 5,
    "backoff": {"base_seconds": 2.0, "factor": 2.0, "cap_seconds": 300.0, "jitter": 0.1},
    "timeout_seconds": 30.0,
    "run_at": None,
    "cancel_requested_at": None,
    "waiting_for": {"reason": "slot", "until": None},
    "processor_id": None,
    "progress": None,
    "error": None,
    "created_at": "2026-11-24T12:00:00.000000Z",
    "updated_at": "2026-11-24T12:00:00.000000Z",
    "queued_at": "2026-11-24T12:00:00.000000Z",
    "started_at": None,
    "finished_at": None,
    "payload": {"method": "GET", "url": "https://example.org/"},
    "result": None,
}
RECEIPTS = {
    "items": [
        {
            "id": TASK_ID,
            "title": "First",
            "kind": "echo",
            "queue": "default",
            "priority": "medium",
            "status": "queued",
            "version": 2,
            "revision": 1,
            "created_at": "2026-11-24T12:00:00.000000Z",
        }
    ]
}
TASK_PAGE = {
    "items": [{name: value for name, value in TASK.items() if name not in {"payload", "result"}}],
    "next_cursor": None,
}
TASK_COUNTS = {
    "counts": {
        "pending": 2,
        "scheduled": 14,
        "queued": 5,
        "in_progress": 3,
        "completed": 10_000,
        "failed": 7,
        "cancelled": 0,
    }
}
ACTIVITY = {
    "items": [
        {
            "at": "2026-11-24T12:00:00Z",
            "created": 120,
            "completed": 118,
            "failed": 1,
            "cancelled": 0,
            "waited": {"p50_seconds": 0.006, "p95_seconds": 0.021},
            "ran": {"p50_seconds": 0.4, "p95_seconds": 1.9},
            "oldest_queued_seconds": 0.8,
        }
    ]
}
ATTEMPT_PAGE = {
    "items": [
        {
            "attempt": 1,
            "run": 1,
            "processor_id": "processor-1",
            "delivery": 1,
            "queued_at": "2026-11-24T12:00:00.000000Z",
            "started_at": "2026-11-24T12:00:00.010000Z",
            "finished_at": "2026-11-24T12:00:00.310000Z",
            "outcome": "completed",
            "error": None,
            "traceback": None,
        }
    ],
    "next_cursor": None,
}
LINE_PAGE = {
    "items": [
        {
            "position": 218,
            "attempt": 1,
            "at": "2026-11-24T12:00:00.020000Z",
            "level": "info",
            "text": "page fetched number=3",
        }
    ],
    "dropped": 217,
    "next_cursor": None,
}
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": f"{TASK_ID}.2",
    "source": "/taskmill/task-store",
    "type": "taskmill.task.queued.v1",
    "subject": TASK_ID,
    "time": "2026-11-24T12:00:00.000000Z",
    "datacontenttype": "application/json",
    "sequence": 2,
    "data": {
        "kind": "http-request",
        "queue": "default",
        "status": "queued",
        "revision": 1,
        "run": 1,
        "attempt": 1,
        "dispatch": 1,
        "reason": "process",
        "attempt_limit": 5,
    },
}
EVENT_PAGE = {"items": [EVENT], "next_cursor": None, "removed": 1}
EVENT_LOG_PAGE = {
    "items": [{"position": 4711, "event": EVENT}],
    "next_after": 4711,
    "oldest": 1,
    "newest": 4711,
    "removed": 0,
    "epoch": 0,
}

WEBHOOK_ID = "01920f3e-a1b2-7c3d-8e4f-6a7b8c9d0e1f"
REPLAY_ID = "01920f3e-b2c3-7d4e-9f50-7b8c9d0e1f20"

NEW_WEBHOOK: dict[str, Any] = {
    "url": "https://example.org/hooks/taskmill",
    "types": ["completed", "failed"],
    "kind": "http-request",
    "labels": ["team:web"],
}
WEBHOOK_PATCH = {"types": ["failed"], "kind": None}
WEBHOOK = {
    "id": WEBHOOK_ID,
    "url": "https://example.org/hooks/taskmill",
    "description": None,
    "types": ["completed", "failed"],
    "kind": "http-request",
    "queue": None,
    "labels": ["team:web"],
    "is_enabled": True,
    "switched_off_reason": None,
    "secret_count": 1,
    "revision": 1,
    "created_at": "2026-11-24T12:00:00.000000Z",
    "updated_at": "2026-11-24T12:00:00.000000Z",
}
WEBHOOK_WITH_SECRET = {**WEBHOOK, "secret": "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1u"}
WEBHOOK_PAGE = {"items": [WEBHOOK], "next_cursor": None}
DELIVERY = {
    "task_id": "01920f3e-8c2b-7d5f-8e62-4c2a1d7b8e53",
    "event_id": f"{TASK_ID}.2",
    "replay_id": None,
    "status": "scheduled",
    "attempt": 2,
    "attempt_limit": 10,
    "next_attempt_at": "2026-11-24T12:00:05.120000Z",
    "last_error": {"code": "bad_status", "type": None, "message": "The receiver answered 500."},
    "created_at": "2026-11-24T12:00:00.020000Z",
    "updated_at": "2026-11-24T12:00:00.120000Z",
    "finished_at": None,
}
DELIVERY_PAGE = {"items": [DELIVERY], "next_cursor": None}
NEW_REPLAY = {"after": 4000, "until": 4711, "types": ["failed"]}
NEW_SUBJECT_REPLAY = {"name": "billing", **NEW_REPLAY}
REPLAY = {
    "id": REPLAY_ID,
    "webhook_id": WEBHOOK_ID,
    "subject": None,
    "types": ["failed"],
    "kind": None,
    "queue": None,
    "labels": [],
    "after": 4000,
    "until": 4711,
    "status": "completed",
    "position": 4711,
    "told": 12,
    "created_at": "2026-11-24T12:00:00.000000Z",
    "finished_at": "2026-11-24T12:00:00.150000Z",
}

SCHEDULE_ID = "01920f3e-c3d4-7e5f-8a6b-9c8d7e6f5a41"

NEW_SCHEDULE: dict[str, Any] = {
    "name": "Nightly report",
    "template": {"title": "Report", "kind": "report", "payload": {"of": "yesterday"}, "max_attempts": 3},
    "cron": "0 3 * * MON-FRI",
    "time_zone": "Europe/Berlin",
    "overlap": "skip",
}
SCHEDULE_PATCH = {"is_paused": True, "template": {"payload": {"of": None}}}
SCHEDULE: dict[str, Any] = {
    "id": SCHEDULE_ID,
    **NEW_SCHEDULE,
    "interval_seconds": None,
    "catch_up_seconds": 3600,
    "is_paused": False,
    "starts_at": None,
    "ends_at": None,
    "timing": "At 03:00 on Monday through Friday, Europe/Berlin",
    "next_fire_at": "2026-11-25T02:00:00.000000Z",
    "last_fire_at": "2026-11-24T02:00:00.000000Z",
    "missed_count": 0,
    "missed_since": None,
    "missed_until": None,
    "revision": 1,
    "created_at": "2026-11-23T12:00:00.000000Z",
    "updated_at": "2026-11-23T12:00:00.000000Z",
}
SCHEDULE_PAGE = {"items": [SCHEDULE], "next_cursor": None}
NEXT_TIMES = {"items": ["2026-11-25T02:00:00.000000Z", "2026-11-26T02:00:00.000000Z", "2026-11-27T02:00:00.000000Z"]}
NEW_BACKFILL = {"since": "2026-11-02T00:00:00Z", "until": "2026-11-09T00:00:00Z"}
BACKFILL = {"created": 5, "existing": 0}
FIRE_PAGE = {
    "items": [
        {
            "fire_at": "2026-11-24T02:00:00.000000Z",
            "outcome": "created",
            "origin": "time",
            "task_id": TASK_ID,
            "decided_at": "2026-11-24T02:00:00.004000Z",
        }
    ],
    "next_cursor": None,
}

PROCESSOR = {
    "id": "worker-1-4711-a3f9",
    "queues": ["default", "webhooks"],
    "kinds": ["echo", "http-request", "sleep"],
    "slots": 100,
    "running": 12,
    "software_version": "0.1.0",
    "started_at": "2026-11-24T11:00:00.000000Z",
    "last_seen_at": "2026-11-24T12:00:00.000000Z",
    "is_draining": False,
}
PROCESSOR_PAGE = {"items": [PROCESSOR], "next_cursor": None}
DRAINING_PROCESSOR = {"id": PROCESSOR["id"]}
QUEUE: dict[str, Any] = {
    "name": "default",
    "is_paused": False,
    "paused_at": None,
    "depth": {"critical": 0, "high": 3, "medium": 120, "low": 0},
    "scheduled": 5,
    "oldest_age_seconds": 1.412,
    "in_progress": 12,
    "finished_per_second": 84.2,
    "processor_count": 1,
    "processors": ["worker-1-4711-a3f9"],
}
PAUSED_QUEUE = {**QUEUE, "is_paused": True, "paused_at": "2026-11-24T12:00:00.000000Z"}
QUEUE_PAGE = {"items": [QUEUE], "next_cursor": None}


KIND_PAGE: dict[str, Any] = {
    "items": [
        {
            "kind": "thumbnail",
            "is_served": True,
            "defaults": {"max_attempts": 3, "backoff": None, "timeout_seconds": 60.0, "queue": "media"},
            "payload_schema": {
                "type": "object",
                "properties": {"width": {"type": "integer", "minimum": 1}},
                "required": ["width"],
            },
            "declaration_count": 1,
            "declarations": [],
            "unchecked_reason": None,
        }
    ],
    "next_cursor": None,
}

NEW_API_KEY = {"name": "billing", "scopes": ["tasks:read", "tasks:write"], "expires_at": "2027-11-24T12:00:00Z"}
API_KEY = {
    "id": "mwtz6nk0abcdefgh",
    "name": "billing",
    "scopes": ["tasks:read", "tasks:write"],
    "created_at": "2026-11-24T12:00:00Z",
    "created_by": "local-dev",
    "expires_at": "2027-11-24T12:00:00Z",
    "revoked_at": None,
    "last_used_at": None,
}
API_KEY_WITH_SECRET = {
    **API_KEY,
    "key": "tm_mwtz6nk0abcdefgh_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg_0WfSLH",
}
API_KEY_PAGE = {"items": [API_KEY], "next_cursor": None}


NEW_LIMIT = {"kind": "mail", "concurrency_key": "*", "max_in_progress": 5, "rate": {"tasks": 100, "seconds": 60}}
LIMIT = {
    "name": "mails",
    "kind": "mail",
    "concurrency_key": "*",
    "max_in_progress": 5,
    "rate": {"tasks": 100, "seconds": 60},
    "created_at": "2026-11-24T12:00:00Z",
    "updated_at": "2026-11-24T12:00:00Z",
}
LIMIT_PAGE = {"items": [LIMIT], "next_cursor": None}
NEW_SHARE = {"weight": 2}
SHARE = {
    "concurrency_key": "tenant-17",
    "weight": 2,
    "created_at": "2026-11-24T12:00:00Z",
    "updated_at": "2026-11-24T12:00:00Z",
}
SHARE_PAGE = {"items": [SHARE], "next_cursor": None}


def body(value: Any) -> dict[str, Any]:
    """The only example of a request's body, as OpenAPI wants it."""
    return {"example": {"value": value}}


def answer(value: Any) -> dict[str, Any]:
    """The example of a successful answer, as OpenAPI wants it."""
    return {"content": {"application/json": {"example": value}}}
