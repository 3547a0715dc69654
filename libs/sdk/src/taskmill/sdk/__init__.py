"""What users of Taskmill import to write handlers.

    from taskmill.sdk import Context, TaskApp

    app = TaskApp("reports")

    @app.task("make-report", max_attempts=3, timeout_seconds=60)
    async def make_report(payload, ctx: Context):
        ctx.progress(0.5, "half way")
        return {"pages": 3}

A processor runs it with `python -m taskmill.processor --app my_module:app`.
"""

from taskmill.contracts.tasks import RetryBackoff
from taskmill.sdk.app import Handler, TaskApp
from taskmill.sdk.context import Context
from taskmill.sdk.errors import (
    GiveUp,
    InvalidPayloadError,
    NotNow,
    RetryLater,
    TaskFailedError,
    TooManySubmissionsError,
)

__all__ = [
    "Context",
    "GiveUp",
    "Handler",
    "InvalidPayloadError",
    "NotNow",
    "RetryBackoff",
    "RetryLater",
    "TaskApp",
    "TaskFailedError",
    "TooManySubmissionsError",
]
