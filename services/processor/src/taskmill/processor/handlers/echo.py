"""The kind `echo`."""

from pydantic import JsonValue

from taskmill.sdk import Context


async def echo(payload: JsonValue, _context: Context) -> JsonValue:
    """Return the payload."""
    return payload
