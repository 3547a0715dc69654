"""The JSON Schemas of payloads, as a processor tells them."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
from pydantic import JsonValue

from taskmill.contracts.limits import MAX_PAYLOAD_SCHEMA_BYTES, MAX_PAYLOAD_SCHEMAS_BYTES
from taskmill.sdk.plain_json import plain_json


class ToldSchemas(NamedTuple):
    """What can be told of schemas."""

    by_kind: Mapping[str, dict[str, JsonValue]]
    digest: str | None
    """Changes with them; None: there are none."""
    left_out: Mapping[str, str]
    """Kinds whose schema is not told, each with the reason: their payloads are judged by the handler alone."""


def told_schemas(schemas: Mapping[str, dict[str, Any]]) -> ToldSchemas:
    """Choose, in the order of the kinds, what a hello has room for."""
    by_kind: dict[str, dict[str, JsonValue]] = {}
    left_out: dict[str, str] = {}
    size = 0
    for kind, schema in sorted(schemas.items()):
        try:
            plain = plain_json("the schema", schema, MAX_PAYLOAD_SCHEMA_BYTES)
        except ValueError as error:
            left_out[kind] = str(error)
            continue
        size += len(orjson.dumps(plain))
        if not isinstance(plain, dict) or size > MAX_PAYLOAD_SCHEMAS_BYTES:
            left_out[kind] = f"the schemas of all kinds are larger than {MAX_PAYLOAD_SCHEMAS_BYTES} bytes"
            continue
        by_kind[kind] = plain
    text = orjson.dumps(by_kind, option=orjson.OPT_SORT_KEYS)
    return ToldSchemas(by_kind, hashlib.sha256(text).hexdigest() if by_kind else None, left_out)
