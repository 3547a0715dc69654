"""What users of Taskmill import: to write handlers, and to have tasks done.

    from pydantic import BaseModel

    from taskmill.sdk import Context, Retry, TaskApp

    app = TaskApp("reports")

    class Order(BaseModel):
        pages: int

    @app.task("make-report", queue="reports", timeout=60, retry=Retry(attempts=3))
    async def make_report(order: Order, ctx: Context) -> dict[str, int]:
        ctx.progress(0.5, "half way")
        return {"pages": order.pages}

A processor runs it with `taskmill processor run my_module:app`.

    from taskmill.sdk import Client

    with Client() as client:
        print(client.run("make-report").result)
"""

import importlib
from typing import TYPE_CHECKING

from taskmill.contracts.tasks import RetryBackoff
from taskmill.sdk.app import TaskApp
from taskmill.sdk.context import Context
from taskmill.sdk.errors import (
    GiveUp,
    InvalidPayloadError,
    NotNow,
    RetryLater,
    TaskFailedError,
    TooManySubmissionsError,
)
from taskmill.sdk.handler import Handler
from taskmill.sdk.retry import Retry

if TYPE_CHECKING:
    from fast_depends import Depends

    from taskmill.sdk.client import AsyncClient, Client

__all__ = [
    "AsyncClient",
    "Client",
    "Context",
    "Depends",
    "GiveUp",
    "Handler",
    "InvalidPayloadError",
    "NotNow",
    "Retry",
    "RetryBackoff",
    "RetryLater",
    "TaskApp",
    "TaskFailedError",
    "TooManySubmissionsError",
]


_LAZY = {"AsyncClient": "taskmill.sdk.client", "Client": "taskmill.sdk.client", "Depends": "fast_depends"}


def __getattr__(name: str) -> object:
    """Load what is asked for: a processor needs neither clients nor, as a rule, dependencies, and they take memory."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
