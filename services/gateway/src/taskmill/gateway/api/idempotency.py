"""The header `Idempotency-Key`: a request that is made again under its key is not carried out again.

The gateway only reads the key; the task store remembers it, in the transaction of what was asked.
https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

import hashlib
import json
import re
from typing import Annotated

from fastapi import Header, Response
from pydantic import BaseModel
from pydantic.json_schema import SkipJsonSchema

from taskmill.contracts.errors import FieldProblem, InvalidRequestError
from taskmill.contracts.limits import MAX_IDEMPOTENCY_KEY_CHARS
from taskmill.contracts.requests import REPLAYED_HEADER, IdempotencyKey
from taskmill.gateway.api.json_response import JsonResponse
from taskmill.runtime.reply import Reply

HEADER = "Idempotency-Key"

# Bare, or a string of RFC 8941 §3.3.3, in which a backslash stands before a quote or another backslash.
_FORM = re.compile(r'(?P<bare>[!#-~][!-~]*)|"(?P<quoted>(?:[!#-\[\]-~]|\\["\\])+)"')
_FORM_FOR_CLIENTS = (
    rf'[!#-~][!-~]{{0,{MAX_IDEMPOTENCY_KEY_CHARS - 1}}}|"([!#-\[\]-~]|\\["\\]){{1,{MAX_IDEMPOTENCY_KEY_CHARS}}}"'
)

IdempotencyKeyHeader = Annotated[
    str | SkipJsonSchema[None],
    Header(
        alias=HEADER,
        description="Makes the request safe to repeat: under the same key, the same request gets the answer of the "
        "first, for 7 days. 1 to 255 visible ASCII characters, bare or in double quotes; chosen by the client, at "
        "random.",
        json_schema_extra={"pattern": f"^({_FORM_FOR_CLIENTS})$"},
    ),
]


def idempotency(header: str | None, operation: str, body: BaseModel) -> IdempotencyKey | None:
    """What the store needs to recognise a request.

    Args:
        header: The header; None: the request has none, and is carried out each time it is made.
        operation: The request's method and path, such as `POST /tasks`.
        body: What it says. Two bodies that say the same count as the same, however they are written, and
            whether they leave a default out or not.

    Raises:
        InvalidRequestError: The header is no key.
    """
    if header is None:
        return None
    content = json.dumps(body.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    fingerprint = hashlib.sha256(f"{operation}\n{content}".encode()).hexdigest()
    return IdempotencyKey(key=_key(header), fingerprint=fingerprint)


def refused(key: IdempotencyKey | None, problems: list[FieldProblem]) -> IdempotencyKey | None:
    """Have a request refused, but not one that was accepted before: what is asked of it may have changed since.

    Args:
        key: The request's key; None: it has none.
        problems: Why it is refused; empty: it is not.

    Returns:
        The key with which the store answers as before, or refuses.

    Raises:
        InvalidRequestError: It has no key, and so was not made before.
    """
    if not problems:
        return key
    if key is None:
        raise InvalidRequestError(errors=problems)
    return IdempotencyKey(key=key.key, fingerprint=key.fingerprint, refusal=problems)


def _key(header: str) -> str:
    form = _FORM.fullmatch(header)
    if form is not None:
        key = form["bare"] or re.sub(r"\\(.)", r"\1", form["quoted"])
        if len(key) <= MAX_IDEMPOTENCY_KEY_CHARS:
            return key
    detail = f"It should be 1 to {MAX_IDEMPOTENCY_KEY_CHARS} visible ASCII characters, bare or in double quotes."
    raise InvalidRequestError(errors=[FieldProblem(pointer=HEADER, detail=detail, code="idempotency_key")])


def is_replayed(reply: Reply) -> bool:
    """Whether the store had given this reply before, to an earlier request under the same key."""
    return reply.headers.get(REPLAYED_HEADER) == "true"


def json_response(reply: Reply, status: int, headers: dict[str, str] | None = None) -> Response:
    """A reply of the store to a request that may have had a key, as it came; a header tells a replay.

    Args:
        reply: The reply.
        status: The status code.
        headers: What else clients are told.
    """
    all_headers = {**(headers or {}), "Idempotent-Replayed": "true"} if is_replayed(reply) else headers or {}
    return JsonResponse(reply.body, status, all_headers)
