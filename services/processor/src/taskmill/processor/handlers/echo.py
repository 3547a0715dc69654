"""The kind `echo`."""

from pydantic import JsonValue

from taskmill.processor.adapters.outside import Outside
from taskmill.sdk import Context, TaskApp


def register(app: TaskApp, _outside: Outside) -> None:
    """Add the kind."""
    app.task("echo")(echo)


async def echo(payload: JsonValue, _context: Context) -> JsonValue:
    """Return the payload."""
    return payload
