"""Reading JSON from strangers: only what can be kept exactly, end to end, is accepted.

PostgreSQL cannot store U+0000, UTF-8 cannot encode a lone surrogate, JSON has no NaN or infinity, and a number past 64
bits is read differently by every language. Such a document is refused at the door, before anything is stored.
"""

import math
import re
from typing import TypeVar

from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json, to_json

from taskmill.contracts.errors import FieldProblem, InvalidJsonError, InvalidRequestError
from taskmill.contracts.limits import MAX_INTEGER, MAX_JSON_DEPTH, MIN_INTEGER

_Model = TypeVar("_Model", bound=BaseModel)

# A document without any of these needs no walk: an escaped NUL, a number of 19 digits or more, an exponent of three
# digits, a word for what is no number. Bytes are scanned at the speed of C: most requests pay next to nothing.
_SUSPICIOUS = re.compile(rb"\\u0000|[0-9]{19}|[eE]\+?[0-9]{3}|NaN|Infinity")

_MAX_REPORTED_PROBLEMS = 20


def check_json(data: bytes) -> None:
    """Refuse a document that cannot be kept exactly.

    Args:
        data: UTF-8 JSON text.

    Raises:
        InvalidJsonError: It is no JSON, nests deeper than `MAX_JSON_DEPTH`, or holds U+0000, a lone surrogate, NaN, an
            infinity, or an integer past 64 bits.
    """
    suspicious = _SUSPICIOUS.search(data) or data.count(b"[") + data.count(b"{") > MAX_JSON_DEPTH
    if suspicious:
        _check_value(_decode(data), depth=0)


def _decode(data: bytes) -> JsonValue:
    try:
        value: JsonValue = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidJsonError from error
    return value


def _check_value(value: JsonValue, depth: int) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise InvalidJsonError("The character U+0000 cannot be stored.")
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int):
        if not MIN_INTEGER <= value <= MAX_INTEGER:
            raise InvalidJsonError("An integer does not fit into 64 bits.")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidJsonError("A number is not finite.")
    else:
        if depth == MAX_JSON_DEPTH:
            raise InvalidJsonError(f"Arrays and objects are nested deeper than {MAX_JSON_DEPTH}.")
        parts = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        for part in parts:
            _check_value(part, depth + 1)


def read_json(adapter: TypeAdapter[_Model], data: bytes) -> _Model:
    """Parse a document from outside into a model.

    Args:
        adapter: What the document must be.
        data: UTF-8 JSON text.

    Returns:
        The validated model.

    Raises:
        InvalidJsonError: See `check_json`.
        InvalidRequestError: It is JSON but does not fit; `errors` names each part, never its value.
    """
    check_json(data)
    try:
        return adapter.validate_json(data)
    except ValidationError as error:
        raise as_request_error(error) from error


def as_request_error(error: ValidationError) -> InvalidJsonError | InvalidRequestError:
    """Translate pydantic's complaint into ours, without the values that it repeats."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    if any(detail["type"] == "json_invalid" for detail in details):
        return InvalidJsonError()
    return InvalidRequestError(errors=[field_problem(detail) for detail in details[:_MAX_REPORTED_PROBLEMS]])


def field_problem(detail: ErrorDetails) -> FieldProblem:
    """One complaint of pydantic as a `FieldProblem` with a JSON Pointer (RFC 6901)."""
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in detail["loc"])
    return FieldProblem(pointer="".join(f"/{step}" for step in steps), detail=detail["msg"], code=detail["type"])


def json_size(value: JsonValue) -> int:
    """Bytes of a value as compact UTF-8 JSON, which is how limits are counted."""
    return len(to_json(value))
