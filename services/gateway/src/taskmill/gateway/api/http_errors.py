"""The one table of what every error is over HTTP."""

from dataclasses import dataclass

from taskmill.contracts.errors import InternalError


@dataclass(frozen=True, slots=True)
class HttpError:
    """What an error is over HTTP.

    Attributes:
        status: The status code.
        title: What every error of this kind is called, for people.
    """

    status: int
    title: str


HTTP_ERRORS = {
    "invalid_json": HttpError(400, "The body is no JSON that can be kept"),
    "malformed_http": HttpError(400, "No HTTP request"),
    "unauthenticated": HttpError(401, "Who asks?"),
    "cross_site_request": HttpError(403, "Not from another site"),
    "missing_scope": HttpError(403, "Not allowed"),
    "not_found": HttpError(404, "Nothing at this path"),
    "api_key_not_found": HttpError(404, "No such API key"),
    "limit_not_found": HttpError(404, "No such limit"),
    "share_not_found": HttpError(404, "No such share"),
    "task_not_found": HttpError(404, "No such task"),
    "delivery_not_found": HttpError(404, "No such delivery"),
    "bulk_operation_not_found": HttpError(404, "No such bulk operation"),
    "group_not_found": HttpError(404, "No such group"),
    "queue_not_found": HttpError(404, "No such queue"),
    "processor_not_found": HttpError(404, "No such processor"),
    "webhook_not_found": HttpError(404, "No such webhook"),
    "replay_not_found": HttpError(404, "No such replay"),
    "schedule_not_found": HttpError(404, "No such schedule"),
    "method_not_allowed": HttpError(405, "Method not allowed"),
    "request_timeout": HttpError(408, "The body did not arrive in time"),
    "already_finished": HttpError(409, "There is nothing to cancel"),
    "illegal_transition": HttpError(409, "The lifecycle has no such way"),
    "run_active": HttpError(409, "The task is being processed"),
    "task_exists": HttpError(409, "The task exists already"),
    "unique_key_held": HttpError(409, "Another task holds the unique key"),
    "revision_mismatch": HttpError(412, "It has changed"),
    "payload_too_large": HttpError(413, "Too large"),
    "unsupported_media_type": HttpError(415, "Unsupported media type"),
    "host_not_allowed": HttpError(421, "Not this gateway's name"),
    "field_not_editable": HttpError(422, "A field is not editable"),
    "idempotency_key_reused": HttpError(422, "The Idempotency-Key was used for another request"),
    "invalid_request": HttpError(422, "The request does not fit its schema"),
    "too_many_api_keys": HttpError(422, "Too many API keys"),
    "too_many_limits": HttpError(422, "Too many limits"),
    "too_many_queues": HttpError(422, "Too many queues"),
    "too_many_schedules": HttpError(422, "Too many schedules"),
    "too_many_shares": HttpError(422, "Too many shares"),
    "too_many_webhooks": HttpError(422, "Too many webhooks"),
    "queue_full": HttpError(429, "The queue is full"),
    "rate_limited": HttpError(429, "Too many requests"),
    "too_many_replays": HttpError(429, "Too many replays"),
    "head_too_large": HttpError(431, "The headers are too large"),
    "internal_error": HttpError(500, "Internal error"),
    "bus_unavailable": HttpError(503, "The message bus is away"),
    "database_unavailable": HttpError(503, "The database is away"),
    "identity_provider_unavailable": HttpError(503, "The identity provider is away"),
    "overloaded": HttpError(503, "Overloaded"),
    "store_unavailable": HttpError(503, "The task store is away"),
}


def http_error(code: str) -> HttpError:
    """What the error with this code is over HTTP; a code from a newer task store is an internal error."""
    return HTTP_ERRORS.get(code, HTTP_ERRORS[InternalError.code])
