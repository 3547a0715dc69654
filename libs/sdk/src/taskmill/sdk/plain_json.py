"""What handlers hand over, as plain JSON values."""

from typing import Any

from pydantic import JsonValue
from pydantic_core import from_json, to_json

from taskmill.contracts.errors import InvalidJsonError
from taskmill.contracts.json_text import check_json
from taskmill.contracts.limits import MAX_JSON_DEPTH


def plain_json(what: str, value: Any, max_bytes: int) -> JsonValue:
    """A copy of a value that can be kept exactly, so that it may be changed afterwards.

    Beside plain JSON values, what pydantic knows how to write is taken: datetimes, UUIDs, dataclasses, models.

    Args:
        what: How the value is called in errors.
        value: What a handler gave.
        max_bytes: How long it may be as compact UTF-8 JSON.

    Raises:
        ValueError: It is longer, is nested deeper than 32, or cannot be kept exactly: it holds U+0000, say, or is no
            JSON at all.
    """
    try:
        text = to_json(value, inf_nan_mode="constants")
        check_json(text, max_depth=MAX_JSON_DEPTH)
    except InvalidJsonError as error:
        raise ValueError(f"{what} cannot be kept exactly as JSON: {error}") from error
    except Exception as error:  # any object may be given, whose own code may raise anything when it is written
        raise ValueError(f"{what} cannot be written as JSON") from error
    if len(text) > max_bytes:
        raise ValueError(f"{what} is larger than {max_bytes} bytes as compact JSON")
    plain: JsonValue = from_json(text)
    return plain
