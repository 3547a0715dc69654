"""What users of Taskmill import: to write handlers, and to have tasks done.

    from taskmill.sdk import Context, TaskApp

    app = TaskApp("reports")

    @app.task("make-report", max_attempts=3, timeout_seconds=60)
    async def make_report(payload, ctx: Context):
        ctx.progress(0.5, "half way")
        return {"pages": 3}

A processor runs it with `python -m taskmill.processor --app my_module:app`.

    from taskmill.sdk import Client

    with Client() as client:
        print(client.run("make-report").result)
"""

import importlib
from typing import TYPE_CHECKING

from taskmill.contracts.tasks import RetryBackoff
from taskmill.sdk.app import Handler, TaskApp
from taskmill.sdk.context import Context
from taskmill.sdk.errors import GiveUp, InvalidPayloadError, NotNow, RetryLater, TaskFailedError

if TYPE_CHECKING:
    from taskmill.sdk.client import AsyncClient, Client

__all__ = [
    "AsyncClient",
    "Client",
    "Context",
    "GiveUp",
    "Handler",
    "InvalidPayloadError",
    "NotNow",
    "RetryBackoff",
    "RetryLater",
    "TaskApp",
    "TaskFailedError",
]


def __getattr__(name: str) -> object:
    """Load the clients when one is asked for: a processor needs none, and they take memory."""
    if name in {"AsyncClient", "Client"}:
        return getattr(importlib.import_module("taskmill.sdk.client"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
