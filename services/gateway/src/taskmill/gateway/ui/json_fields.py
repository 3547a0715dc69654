"""JSON values as they are typed into forms."""

from collections.abc import Iterator
from typing import Any

from pydantic import JsonValue, TypeAdapter

from taskmill.contracts.errors import FieldProblem, InvalidJsonError, InvalidRequestError
from taskmill.contracts.json_text import read_json

_ANY_VALUE: TypeAdapter[Any] = TypeAdapter(Any)


def parse_json(text: str, pointer: str) -> JsonValue:
    """The JSON value of a field; nothing typed: null.

    Args:
        text: What was typed.
        pointer: Which field of the request it is, as a JSON Pointer.

    Raises:
        InvalidRequestError: It is no JSON that can be kept.
    """
    if not text.strip():
        return None
    try:
        value: JsonValue = read_json(_ANY_VALUE, text.encode())
    except InvalidJsonError as error:
        raise invalid(pointer, error.problem().detail, "invalid_json") from error
    return value


def labels_of(text: str) -> Iterator[tuple[str, str]]:
    """Labels as they are typed: `key: value`, one a line.

    Raises:
        InvalidRequestError: A line has no colon.
    """
    for line in text.splitlines():
        if not line.strip():
            continue
        key, colon, value = line.partition(":")
        if not colon:
            raise invalid("/labels", "Write each label on a line of its own, as `key: value`.", "no_label")
        yield key.strip(), value.strip()


def invalid(pointer: str, detail: str, code: str) -> InvalidRequestError:
    """A field that is wrong."""
    return InvalidRequestError(errors=[FieldProblem(pointer=pointer, detail=detail, code=code)])
