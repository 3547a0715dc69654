"""JSON values, labels and texts as they are typed into forms."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue, TypeAdapter

from taskmill.contracts.errors import FieldProblem, InvalidJsonError, InvalidRequestError
from taskmill.contracts.json_text import is_nested_within, read_json
from taskmill.contracts.limits import MAX_JSON_DEPTH
from taskmill.gateway.ui.forms import Form

PAYLOAD_PREFIX = "payload."
"""Begins the name of a field that is for a part of a payload."""

_ANY_VALUE: TypeAdapter[Any] = TypeAdapter(Any)


def parse_json(text: str, pointer: str, *, max_depth: int = MAX_JSON_DEPTH) -> JsonValue:
    """The JSON value of a field; nothing typed: null.

    Args:
        text: What was typed.
        pointer: Which field of the request it is, as a JSON Pointer.
        max_depth: How deeply its arrays and objects may be nested.

    Raises:
        InvalidRequestError: It is no JSON that can be kept.
    """
    if not text.strip():
        return None
    try:
        value: JsonValue = read_json(_ANY_VALUE, text.encode())
    except InvalidJsonError as error:
        raise invalid(pointer, error.problem().detail, "invalid_json") from error
    if not is_nested_within(value, max_depth):
        raise invalid(pointer, f"Arrays and objects are nested deeper than {max_depth}", "nested_too_deeply")
    return value


def labels_of(text: str) -> dict[str, str]:
    """Labels as they are typed: `key: value`, one a line. A value in quotes is a JSON string.

    Raises:
        InvalidRequestError: A line has no colon; a key stands there twice; what begins with a quote is no JSON string.
    """
    labels: dict[str, str] = {}
    for line in text.split("\n"):
        if not line.strip():
            continue
        key, colon, value = line.partition(":")
        if not colon:
            raise invalid("/labels", "Write each label on a line of its own, as `key: value`.", "no_label")
        key = key.strip()
        if key in labels:
            raise invalid("/labels", "Write each key once.", "label_twice")
        labels[key] = _label_value(value.strip())
    return labels


def _label_value(typed: str) -> str:
    if not typed.startswith('"'):
        return typed
    try:
        value = parse_json(typed, "/labels")
    except InvalidRequestError:
        value = None
    if not isinstance(value, str):
        raise invalid("/labels", "Write a value that begins with a quote as a JSON string.", "label_value")
    return value


def typed_labels(labels: Mapping[str, str]) -> str:
    """Labels as `labels_of` reads them."""
    return "\n".join(f"{key}: {_typed_value(value)}" for key, value in labels.items())


def _typed_value(value: str) -> str:
    """A value of one line; in quotes where it would be read as another one."""
    is_plain = value == value.strip() and not value.startswith('"') and not {"\n", "\r"} & set(value)
    return value if is_plain else json.dumps(value, ensure_ascii=False)


def check_texts(form: Form) -> None:
    """Refuse what no text may have, each where it was typed.

    Raises:
        InvalidRequestError: A field has the character U+0000, which PostgreSQL cannot store.
    """
    problems = [
        FieldProblem(pointer=_pointer(name), detail="The character U+0000 cannot be stored.", code="nul")
        for name in sorted(form.names())
        if "\x00" in form.text(name)
    ]
    if problems:
        raise InvalidRequestError(errors=problems)


def payload_pointer(part: str) -> str:
    """Where a part of a payload stands, as a JSON Pointer."""
    return "/payload/" + part.replace("~", "~0").replace("/", "~1")


def _pointer(name: str) -> str:
    is_part = name.startswith(PAYLOAD_PREFIX)
    return payload_pointer(name.removeprefix(PAYLOAD_PREFIX)) if is_part else f"/{name}"


def invalid(pointer: str, detail: str, code: str) -> InvalidRequestError:
    """A field that is wrong."""
    return InvalidRequestError(errors=[FieldProblem(pointer=pointer, detail=detail, code=code)])
