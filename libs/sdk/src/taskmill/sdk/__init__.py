"""What users of Taskmill import to write handlers.

    from pydantic import BaseModel

    from taskmill.sdk import Context, Retry, TaskApp

    app = TaskApp("reports")

    class Order(BaseModel):
        pages: int

    @app.task("make-report", queue="reports", timeout=60, retry=Retry(attempts=3))
    async def make_report(order: Order, ctx: Context) -> dict[str, int]:
        ctx.progress(0.5, "half way")
        return {"pages": order.pages}

A processor runs it with `python -m taskmill.processor --app my_module:app`.
"""

from typing import TYPE_CHECKING, Any

from taskmill.sdk.app import TaskApp
from taskmill.sdk.context import Context
from taskmill.sdk.errors import GiveUp, InvalidPayloadError, NotNow, RetryLater, TaskFailedError
from taskmill.sdk.handler import Handler
from taskmill.sdk.retry import Retry

if TYPE_CHECKING:
    from fast_depends import Depends

__all__ = [
    "Context",
    "Depends",
    "GiveUp",
    "Handler",
    "InvalidPayloadError",
    "NotNow",
    "Retry",
    "RetryLater",
    "TaskApp",
    "TaskFailedError",
]


def __getattr__(name: str) -> Any:
    # Who has no dependencies need not load the library.
    if name == "Depends":
        from fast_depends import Depends  # noqa: PLC0415

        return Depends
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
