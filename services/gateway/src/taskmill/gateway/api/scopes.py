"""The one table of what it takes to ask for something."""

from typing import Final

from taskmill.contracts.api_keys import Scope

SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`tm_…`), or a token of the identity provider. A gateway on a loopback address lets "
        "in who brings neither, unless it is told otherwise.",
    }
}
"""How credentials are brought, for OpenAPI."""

PUBLIC: Final = None
"""Anybody may ask: it tells nothing of tasks."""

SCOPES: dict[str, Scope | None] = {
    "POST /tasks": Scope.TASKS_WRITE,
    "POST /tasks/batch": Scope.TASKS_WRITE,
    "PUT /tasks/{task_id}": Scope.TASKS_WRITE,
    "PATCH /tasks/{task_id}": Scope.TASKS_WRITE,
    "DELETE /tasks/{task_id}": Scope.TASKS_WRITE,
    "POST /tasks/{task_id}/process": Scope.TASKS_WRITE,
    "POST /tasks/{task_id}/cancel": Scope.TASKS_CANCEL,
    "POST /tasks/bulk": Scope.TASKS_WRITE,  # and tasks:cancel to cancel: the endpoint looks
    "GET /operations/{operation_id}": Scope.TASKS_READ,
    "POST /groups": Scope.TASKS_WRITE,
    "GET /groups": Scope.TASKS_READ,
    "GET /groups/{group_id}": Scope.TASKS_READ,
    "GET /tasks": Scope.TASKS_READ,
    "GET /tasks/counts": Scope.TASKS_READ,
    "GET /tasks/{task_id}": Scope.TASKS_READ,
    "GET /tasks/{task_id}/attempts": Scope.TASKS_READ,
    "GET /tasks/{task_id}/logs": Scope.TASKS_READ,
    "GET /kinds": Scope.TASKS_READ,
    "GET /tasks/{task_id}/events": Scope.EVENTS_READ,
    "GET /events": Scope.EVENTS_READ,
    "POST /events/replay": Scope.WEBHOOKS_ADMIN,
    "GET /replays/{replay_id}": Scope.WEBHOOKS_ADMIN,
    "GET /health": Scope.TASKS_READ,
    "GET /metrics": Scope.TASKS_READ,  # it names queues and kinds
    "GET /processors": Scope.TASKS_READ,
    "POST /processors/{processor_id}/drain": Scope.QUEUES_ADMIN,
    "GET /activity": Scope.TASKS_READ,
    "GET /queues": Scope.TASKS_READ,
    "POST /queues/{name}/pause": Scope.QUEUES_ADMIN,
    "POST /queues/{name}/resume": Scope.QUEUES_ADMIN,
    "GET /limits": Scope.TASKS_READ,
    "GET /limits/{name}": Scope.TASKS_READ,
    "PUT /limits/{name}": Scope.QUEUES_ADMIN,
    "DELETE /limits/{name}": Scope.QUEUES_ADMIN,
    "GET /shares": Scope.TASKS_READ,
    "GET /shares/{concurrency_key}": Scope.TASKS_READ,
    "PUT /shares/{concurrency_key}": Scope.QUEUES_ADMIN,
    "DELETE /shares/{concurrency_key}": Scope.QUEUES_ADMIN,
    "POST /webhooks": Scope.WEBHOOKS_ADMIN,
    "GET /webhooks": Scope.WEBHOOKS_ADMIN,
    "GET /webhooks/{webhook_id}": Scope.WEBHOOKS_ADMIN,
    "PATCH /webhooks/{webhook_id}": Scope.WEBHOOKS_ADMIN,
    "DELETE /webhooks/{webhook_id}": Scope.WEBHOOKS_ADMIN,
    "POST /webhooks/{webhook_id}/rotate": Scope.WEBHOOKS_ADMIN,
    "GET /webhooks/{webhook_id}/deliveries": Scope.WEBHOOKS_ADMIN,
    "POST /webhooks/{webhook_id}/deliveries/{task_id}/redeliver": Scope.WEBHOOKS_ADMIN,
    "POST /webhooks/{webhook_id}/replay": Scope.WEBHOOKS_ADMIN,
    "POST /schedules": Scope.TASKS_WRITE,
    "GET /schedules": Scope.TASKS_READ,
    "GET /schedules/{schedule_id}": Scope.TASKS_READ,
    "PUT /schedules/{schedule_id}": Scope.TASKS_WRITE,
    "PATCH /schedules/{schedule_id}": Scope.TASKS_WRITE,
    "DELETE /schedules/{schedule_id}": Scope.TASKS_WRITE,
    "POST /schedules/{schedule_id}/run": Scope.TASKS_WRITE,
    "POST /schedules/{schedule_id}/backfill": Scope.TASKS_WRITE,
    "GET /schedules/{schedule_id}/next-times": Scope.TASKS_READ,
    "GET /schedules/{schedule_id}/fires": Scope.TASKS_READ,
    "POST /keys": Scope.KEYS_ADMIN,
    "GET /keys": Scope.KEYS_ADMIN,
    "GET /keys/{key_id}": Scope.KEYS_ADMIN,
    "POST /keys/{key_id}/revoke": Scope.KEYS_ADMIN,
    "GET /livez": PUBLIC,
    "GET /readyz": PUBLIC,
    "GET /": PUBLIC,
    "GET /docs": PUBLIC,
    "GET /docs/assets/{name}": PUBLIC,
    "GET /openapi.json": PUBLIC,
    "GET /problems/{code}": PUBLIC,
}
"""The scope that each operation takes. What is missing here cannot be served: the application does not come to be."""
