"""Reading JSON from strangers: only what can be kept exactly, end to end, is accepted.

PostgreSQL cannot store U+0000, UTF-8 cannot encode a lone surrogate, JSON has no NaN or infinity, and a number past 64
bits is read differently by every language. Such a document is refused at the door, before anything is stored.
"""

import math
from typing import TypeVar

from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json, to_json

from taskmill.contracts.errors import (
    FieldProblem,
    InvalidJsonError,
    InvalidRequestError,
    PayloadTooLargeError,
    RequestError,
)
from taskmill.contracts.limits import (
    MAX_DOCUMENT_DEPTH,
    MAX_INTEGER,
    MAX_JSON_DEPTH,
    MAX_PAYLOAD_BYTES,
    MIN_INTEGER,
)
from taskmill.contracts.patterns import IN_WORDS

_Model = TypeVar("_Model", bound=BaseModel)

_DIGITS_TO_ZEROS = bytes.maketrans(b"123456789E", b"000000000e")

_MAX_REPORTED_PROBLEMS = 20
_MAX_STEP_CHARS = 64

# Where pydantic's own words repeat a piece of the value, or speak of Python, these replace them.
_DETAILS = {
    "uuid_parsing": "Input should be a valid UUID",
    "uuid_type": "Input should be a valid UUID",
    "union_tag_invalid": "Input has an unknown tag",
}


def check_json(data: bytes, *, max_depth: int = MAX_DOCUMENT_DEPTH) -> None:
    """Refuse a document that cannot be kept exactly.

    Args:
        data: UTF-8 JSON text.
        max_depth: How deeply arrays and objects may be nested; 32 or more.

    Raises:
        InvalidJsonError: It nests deeper than `max_depth`, or holds U+0000, a lone surrogate, NaN, an infinity, or an
            integer past 64 bits; or it is no JSON. A document that shows no sign of the former is not parsed, though.
    """
    if _is_suspicious(data):
        _check_value(_decode(data), max_depth)


def _is_suspicious(data: bytes) -> bool:
    """Whether a document may hold what must be looked for; most do not, and need no walk.

    Numbers of 19 digits or more and exponents of three are looked for with every digit made a zero: a plain search runs
    ten times as fast as a regular expression.
    """
    if b"\\u0000" in data or b"NaN" in data or b"Infinity" in data:
        return True
    if data.count(b"[") + data.count(b"{") > MAX_JSON_DEPTH:
        return True
    zeros = data.translate(_DIGITS_TO_ZEROS)
    return b"0000000000000000000" in zeros or b"0e000" in zeros or b"0e+000" in zeros


def _decode(data: bytes) -> JsonValue:
    try:
        value: JsonValue = from_json(data)
    except ValueError as error:
        raise InvalidJsonError from error
    return value


def _check_value(value: JsonValue, levels: int) -> None:
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
        if levels == 0:
            raise InvalidJsonError("Arrays and objects are nested too deeply.")
        parts = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        for part in parts:
            _check_value(part, levels - 1)


def is_same_json(one: JsonValue, other: JsonValue) -> bool:
    """Whether two values are the same to whoever reads JSON: to Python, `True` equals `1`."""
    # To write both is much quicker than to walk through them; only the order of their names may differ then.
    return one == other and (to_json(one) == to_json(other) or _has_same_types(one, other))


def _has_same_types(one: JsonValue, other: JsonValue) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_has_same_types(part, other[name]) for name, part in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_has_same_types, one, other))
    return one == other


def read_json(adapter: TypeAdapter[_Model], data: bytes) -> _Model:
    """Parse a document from outside into a model.

    Args:
        adapter: What the document must be.
        data: UTF-8 JSON text.

    Returns:
        The validated model.

    Raises:
        InvalidJsonError: See `check_json`.
        InvalidRequestError: It is JSON but does not fit; `errors` names each part, never its value. Types are strict:
            `"yes"` is no boolean, `"3"` no number.
        PayloadTooLargeError: A task's payload is larger than its limit.
    """
    check_json(data)
    try:
        return adapter.validate_json(data, strict=True)
    except ValidationError as error:
        raise as_request_error(error) from error


def as_request_error(error: ValidationError) -> RequestError:
    """Translate pydantic's complaint into ours, without the values that it repeats."""
    details = error.errors(include_url=False, include_input=False)
    types = {detail["type"] for detail in details}
    if "json_invalid" in types:
        return InvalidJsonError()
    problems = [field_problem(detail) for detail in details[:_MAX_REPORTED_PROBLEMS]]
    if "payload_too_large" in types:
        return PayloadTooLargeError("payload", MAX_PAYLOAD_BYTES, errors=problems)
    return InvalidRequestError(errors=problems)


def field_problem(detail: ErrorDetails) -> FieldProblem:
    """One complaint of pydantic, with its context, as a `FieldProblem` with a JSON Pointer (RFC 6901).

    A name that is itself what offends, or too long to be a field's name, is left out: the pointer ends before it.
    """
    steps: list[str] = []
    for step in map(str, detail["loc"]):
        if len(step) > _MAX_STEP_CHARS:
            break
        steps.append(step.replace("~", "~0").replace("/", "~1"))
    if steps and steps[-1] == "[key]":
        del steps[-2:]
    pointer = "".join(f"/{step}" for step in steps)
    return FieldProblem(pointer=pointer, detail=_in_words(detail), code=detail["type"])


def _in_words(detail: ErrorDetails) -> str:
    pattern = detail.get("ctx", {}).get("pattern", "")
    return IN_WORDS.get(pattern) or _DETAILS.get(detail["type"]) or own_words(detail)


def own_words(detail: ErrorDetails) -> str:
    """What is wrong, without what pydantic puts before the words of a validator (`Value error, `)."""
    raised = detail.get("ctx", {}).get("error")
    return str(raised) or "The value is not valid" if isinstance(raised, Exception) else detail["msg"]


def is_nested_within(value: JsonValue, levels: int) -> bool:
    """Whether arrays and objects are nested no deeper than this; a scalar has no level."""
    if not isinstance(value, list | dict):
        return True
    parts = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(is_nested_within(part, levels - 1) for part in parts)
