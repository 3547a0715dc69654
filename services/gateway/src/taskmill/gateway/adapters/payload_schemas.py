"""The JSON Schemas that payloads must fit, as the task store knows them from processors."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import jsonschema_rs
import structlog
from jsonschema_rs import ValidationError, ValidationErrorKind, Validator
from pydantic import JsonValue
from pydantic_core import ErrorDetails

from taskmill.contracts import registry
from taskmill.contracts.errors import FieldProblem
from taskmill.contracts.json_text import field_problem
from taskmill.contracts.kinds import KindPage, ListKinds
from taskmill.contracts.limits import MAX_PAGE_ITEMS, MAX_REFUSAL_PROBLEMS
from taskmill.gateway.adapters.store import Store

_log = structlog.get_logger(__name__)

MAX_KINDS = 2_000
"""Of more kinds the first by name are read: payloads of the others are judged by their handlers alone."""

READ_SECONDS = 1.0
"""For each page. Nobody waits for it but who would be refused otherwise."""

_MASK = "The value"

# Their messages repeat names that the client chose.
_DETAILS = {
    "additionalProperties": "Additional properties are not allowed",
    "unevaluatedProperties": "Unevaluated properties are not allowed",
    "propertyNames": "A property has a name that is not allowed",
    "anyOf": f"{_MASK} is not valid under any of the schemas listed in the 'anyOf' keyword",
    "oneOf": f"{_MASK} is not valid under exactly one of the schemas listed in the 'oneOf' keyword",
}
_CHOICES = ("anyOf", "oneOf")
# What holds values and names, not schemas.
_NO_SCHEMAS = {"const", "enum", "default", "examples", "required", "dependentRequired", "dependencies"}


class _Check(NamedTuple):
    """What is made of a schema.

    Attributes:
        fits: Tells whether a payload fits.
        describes: Tells what does not fit; None: nobody can.
    """

    fits: Validator
    describes: Validator | None


class PayloadSchemas:
    """Compares payloads with the schemas of their kinds. What is asked for most costs one look-up: a kind without one.

    Args:
        store: Knows the schemas.
    """

    def __init__(self, store: Store) -> None:
        self.used = asyncio.Event()
        """Set whenever somebody has asked; whoever keeps the schemas fresh clears it."""
        self._store = store
        self._schemas: Mapping[str, dict[str, JsonValue]] = {}
        self._checks: dict[str, _Check] = {}
        self._read_at = -float("inf")
        self._reading = asyncio.Lock()

    def fits(self, kind: str, payload: JsonValue) -> bool:
        """Whether a payload fits the schema of its kind, as far as is known; true if it has none."""
        self.used.set()
        check = self._checks.get(kind)
        return check is None or check.fits.is_valid(payload)

    def problems(self, kind: str, payload: JsonValue, pointer: str) -> list[FieldProblem]:
        """What does not fit the schema of its kind: 20 parts at most, without their values.

        Args:
            kind: The kind.
            payload: The payload.
            pointer: Where it stands in the request, as a JSON Pointer.
        """
        check = self._checks.get(kind)
        if check is None or check.fits.is_valid(payload):
            return []
        if check.describes is None:
            return [_as_problem("schema", pointer[1:].split("/"), f"{_MASK} does not fit the schema of its kind")]
        return [
            _problem(error, pointer) for error in islice(check.describes.iter_errors(payload), MAX_REFUSAL_PROBLEMS)
        ]

    async def refresh(self, *, after_seconds: float = 0) -> None:
        """Read the schemas anew, unless that was done in the last `after_seconds`.

        Raises:
            UnavailableError: The store did not answer in time; what was known stays.
            RemoteError: It answered with an error.
        """
        async with self._reading:
            if time.monotonic() - self._read_at < after_seconds:
                return
            schemas = await self._read()
            self._checks = {
                kind: check for kind, schema in schemas.items() if (check := self._check(kind, schema)) is not None
            }
            self._schemas = schemas
            self._read_at = time.monotonic()

    async def _read(self) -> dict[str, dict[str, JsonValue]]:
        schemas: dict[str, dict[str, JsonValue]] = {}
        cursor = None
        for _ in range(MAX_KINDS // MAX_PAGE_ITEMS):
            request = ListKinds(limit=MAX_PAGE_ITEMS, cursor=cursor)
            reply = await self._store.ask(registry.LIST_KINDS, request, timeout_seconds=READ_SECONDS)
            page = KindPage.model_validate_json(reply.body)
            schemas |= {one.kind: one.payload_schema for one in page.items if one.payload_schema is not None}
            cursor = page.next_cursor
            if cursor is None:
                break
        return schemas

    def _check(self, kind: str, schema: dict[str, JsonValue]) -> _Check | None:
        if self._schemas.get(kind) == schema:
            return self._checks.get(kind)
        try:
            fits = _compiled(schema)
        except ValueError as error:
            _log.warning("kinds.schema_unusable", kind=kind, error=type(error).__name__)
            return None
        try:
            return _Check(fits, _compiled(_without_branches(schema)))
        except ValueError:  # it refers to what is elsewhere now
            return _Check(fits, None)


def _compiled(schema: dict[str, JsonValue]) -> Validator:
    # Nothing is fetched that a schema refers to elsewhere.
    return jsonschema_rs.validator_for(schema, mask=_MASK, offline=True)


def _without_branches(schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The same schema, but what fails in the branches of a choice is not told.

    It would be gathered for each way through the choices of a schema that refers to itself: 2^n for a
    payload of n levels. `not` asks only whether something fits, and knows what it has answered before.
    """
    parts = {word: part if word in _NO_SCHEMAS else _part_without_branches(part) for word, part in schema.items()}
    choices = [word for word in _CHOICES if isinstance(schema.get(word), list)]
    if not choices:
        return parts
    others = parts.get("allOf", [])
    told: list[JsonValue] = [{"not": {"$comment": word, "not": {word: parts.pop(word)}}} for word in choices]
    return {**parts, "allOf": [*(others if isinstance(others, list) else []), *told]}


def _part_without_branches(part: JsonValue) -> JsonValue:
    if isinstance(part, list):
        return [_part_without_branches(one) for one in part]
    return _without_branches(part) if isinstance(part, dict) else part


def _problem(error: ValidationError, pointer: str) -> FieldProblem:
    keyword = str(error.schema_path[-1]) if error.schema_path else "false"
    path = [*pointer[1:].split("/"), *error.instance_path]
    if isinstance(error.kind, ValidationErrorKind.Not) and isinstance(error.kind.schema, dict):
        comment = error.kind.schema.get("$comment")
        keyword = next((word for word in _CHOICES if word == comment), keyword)
    return _as_problem(keyword, path, _DETAILS.get(keyword, error.message))


def _as_problem(keyword: str, path: Sequence[str | int], detail: str) -> FieldProblem:
    return field_problem(ErrorDetails(type=keyword, loc=tuple(path), msg=detail, input=None))
