"""Reading payloads."""

from typing import TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from taskmill.contracts.json_text import as_request_error
from taskmill.sdk.errors import InvalidPayloadError

_Model = TypeVar("_Model", bound=BaseModel)


def read_payload(model: type[_Model], payload: JsonValue) -> _Model:
    """Validate a payload.

    Raises:
        InvalidPayloadError: It does not fit; the message names every offending part, never its value.
    """
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        problems = as_request_error(error).errors
        parts = "; ".join(f"{problem.pointer or 'the whole'}: {problem.detail}" for problem in problems)
        raise InvalidPayloadError(f"The payload does not fit. {parts}") from error
