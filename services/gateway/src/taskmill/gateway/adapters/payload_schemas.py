"""The JSON Schemas that payloads must fit, as the task store knows them from processors."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

import jsonschema_rs
import orjson
import structlog
from jsonschema_rs import RegexOptions, ValidationError, ValidationErrorKind, Validator
from pydantic import JsonValue
from pydantic_core import ErrorDetails

from taskmill.contracts import registry
from taskmill.contracts.errors import FieldProblem
from taskmill.contracts.json_text import field_problem, is_same_json
from taskmill.contracts.kinds import KindPage, KnownKind, ListKinds
from taskmill.contracts.limits import MAX_PAGE_ITEMS, MAX_PAYLOAD_BYTES, MAX_REFUSAL_PROBLEMS
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.domain.schema_cost import MAX_STEPS, UnusableSchemaError, goes_many_ways, schema_weight

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


PATTERN_SIZES = (512, 1024, 2048, 4096, 8192)
"""How large a regular expression may be once compiled, in bytes: the first of these that it fits is its size."""

STEPS_PER_PATTERN_KIB = 500
"""What each byte of a text may take, measured with the worst patterns and texts that were found."""


class _Check(NamedTuple):
    """What is made of a schema.

    Attributes:
        fits: Tells whether a payload fits.
        describes: Tells what does not fit; None: nobody can.
        weight: How many steps each byte of a payload may take.
    """

    fits: Validator
    describes: Validator | None
    weight: int


class _Checks(NamedTuple):
    """What is made of the schemas of a kind.

    Attributes:
        alternatives: One of them must be met, the first of which describes what is wrong; none: anything fits.
        unchecked_reason: Why there are none though there are schemas.
    """

    alternatives: tuple[_Check, ...]
    unchecked_reason: str | None = None


_ANYTHING = _Checks(())


class PayloadSchemas:
    """Compares payloads with the schemas of their kinds. What is asked for most costs one look-up: a kind without one.

    Processors may say any schema. What could hold up the event loop is not compared: see `domain/schema_cost.py`.

    Args:
        store: Knows the schemas.
    """

    def __init__(self, store: Store) -> None:
        self.used = asyncio.Event()
        """Set whenever somebody has asked; whoever keeps the schemas fresh clears it."""
        self._store = store
        self._schemas: Mapping[str, Sequence[dict[str, JsonValue]]] = {}
        self._checks: dict[str, _Checks] = {}
        self._read_at = -float("inf")
        self._reading = asyncio.Lock()

    def fits(self, kind: str, payload: JsonValue) -> bool:
        """Whether a payload fits a schema of its kind, as far as is known; true if it has none, or is not compared."""
        self.used.set()
        checks = self._checks.get(kind)
        return checks is None or _fits(checks.alternatives, payload)

    def problems(self, kind: str, payload: JsonValue, pointer: str) -> list[FieldProblem]:
        """What does not fit the schema of its kind: 20 parts at most, without their values.

        Args:
            kind: The kind.
            payload: The payload.
            pointer: Where it stands in the request, as a JSON Pointer.
        """
        alternatives = self._checks.get(kind, _ANYTHING).alternatives
        if _fits(alternatives, payload):
            return []
        describes = alternatives[0].describes
        if describes is None:
            return [_as_problem("schema", pointer[1:].split("/"), f"{_MASK} does not fit the schema of its kind")]
        return [_problem(error, pointer) for error in islice(describes.iter_errors(payload), MAX_REFUSAL_PROBLEMS)]

    def unchecked_reason(self, kind: KnownKind) -> str | None:
        """Why payloads of a kind are not compared with the schemas that are told of it; None: they are."""
        return self._checks_of(kind.kind, _schemas_of(kind)).unchecked_reason

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
            checks = {}
            for kind, alternatives in schemas.items():
                checks[kind] = self._checks_of(kind, alternatives)
                if (reason := checks[kind].unchecked_reason) and not self._is_known(kind, alternatives):
                    _log.warning("kinds.schema_unusable", kind=kind, reason=reason)
                # New ones take a while.
                await asyncio.sleep(0)
            self._checks, self._schemas = checks, schemas
            self._read_at = time.monotonic()

    async def _read(self) -> dict[str, list[dict[str, JsonValue]]]:
        schemas: dict[str, list[dict[str, JsonValue]]] = {}
        cursor = None
        for _ in range(MAX_KINDS // MAX_PAGE_ITEMS):
            request = ListKinds(limit=MAX_PAGE_ITEMS, cursor=cursor)
            reply = await self._store.ask(registry.LIST_KINDS, request, timeout_seconds=READ_SECONDS)
            page = KindPage.model_validate_json(reply.body)
            schemas |= {one.kind: found for one in page.items if (found := _schemas_of(one))}
            cursor = page.next_cursor
            if cursor is None:
                break
        return schemas

    def _checks_of(self, kind: str, schemas: Sequence[dict[str, JsonValue]]) -> _Checks:
        if self._is_known(kind, schemas):
            return self._checks[kind]
        try:
            return _Checks(tuple(map(_check, schemas)))
        except UnusableSchemaError as error:
            return _Checks((), str(error))

    def _is_known(self, kind: str, schemas: Sequence[dict[str, JsonValue]]) -> bool:
        known = self._schemas.get(kind)
        return known is not None and is_same_json([*known], [*schemas])


def _schemas_of(kind: KnownKind) -> list[dict[str, JsonValue]]:
    """The schemas one of which a payload must fit; none: it may be anything, as for one of the kind's processors."""
    if kind.payload_schema is not None:
        return [kind.payload_schema]
    told: list[dict[str, JsonValue]] = []
    for declaration in kind.declarations:
        if declaration.payload_schema is None:
            return []
        if not any(is_same_json(declaration.payload_schema, schema) for schema in told):
            told.append(declaration.payload_schema)
    return told if kind.declaration_count == len(kind.declarations) else []


def _fits(alternatives: Sequence[_Check], payload: JsonValue) -> bool:
    if not alternatives:
        return True
    weight = sum(check.weight for check in alternatives)
    if weight * MAX_PAYLOAD_BYTES > MAX_STEPS and weight * len(orjson.dumps(payload)) > MAX_STEPS:
        return True
    return any(check.fits.is_valid(payload) for check in alternatives)


def _check(schema: dict[str, JsonValue]) -> _Check:
    """Make a check.

    Raises:
        UnusableSchemaError: The schema is none, or might take too long.
    """
    weight = schema_weight(schema, _pattern_weight)
    try:
        fits = _compiled(schema)
    except ValueError as error:
        raise UnusableSchemaError("it is no JSON Schema, or refers to what is elsewhere") from error
    told = _without_branches(schema)
    try:
        return _Check(fits, None if goes_many_ways(told) else _compiled(told), weight)
    except ValueError:  # it refers to what is elsewhere now
        return _Check(fits, None, weight)


def _compiled(schema: dict[str, JsonValue], pattern_bytes: int = PATTERN_SIZES[-1]) -> Validator:
    # Nothing is fetched that a schema refers to elsewhere. This engine takes time in proportion to text and pattern.
    patterns = RegexOptions(size_limit=pattern_bytes)
    return jsonschema_rs.validator_for(schema, mask=_MASK, offline=True, pattern_options=patterns)


@lru_cache(maxsize=1_000)
def _pattern_weight(pattern: str) -> int:
    for size in PATTERN_SIZES:
        try:
            _compiled({"pattern": pattern}, size)
        except ValueError:
            continue
        return size * STEPS_PER_PATTERN_KIB // 1024
    raise UnusableSchemaError("a pattern is none, is too large, or looks around or back")


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
