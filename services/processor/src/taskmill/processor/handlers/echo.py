"""The kind `echo`."""

from pydantic import JsonValue

from taskmill.processor.adapters.guarded_http import GuardedHttp
from taskmill.sdk import Context, TaskApp


def register(app: TaskApp, _http: GuardedHttp) -> None:
    """Add the kind."""
    app.task("echo")(echo)


async def echo(payload: JsonValue, _context: Context) -> JsonValue:
    """Return the payload."""
    return payload
