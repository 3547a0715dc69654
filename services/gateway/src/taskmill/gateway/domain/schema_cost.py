"""How much work it may be to compare a payload with a JSON Schema: processors say the schemas, and may say anything.

All is told in steps, of 1 ns or less. A payload of so many bytes takes no more than that many times the weight of the
schema: as if each of its parts stood before each part of the schema.
"""

from collections.abc import Callable
from typing import Any

from pydantic import JsonValue

MAX_WEIGHT = 20_000
"""A schema that is heavier is not used at all."""

MAX_STEPS = 20_000_000
"""A payload that may take more with its schema is not compared."""

MAX_SCHEMA_DEPTH = 128

UNIQUE_WEIGHT = 1_000
"""To find two items that are the same."""

_ANNOTATIONS = {
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$comment",
    "$defs",
}
_VALUES = {"const", "enum", "required", "dependentRequired"}
# Whose names are none of the words of schemas.
_NAMED = {"properties", "patternProperties", "dependentSchemas", "dependencies", "definitions"}
# By which a schema refers otherwise than by a JSON Pointer into itself.
_OTHER_REFERENCES = ("$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef")


class UnusableSchemaError(ValueError):
    """A schema that payloads are not compared with; it says why."""


def schema_weight(schema: dict[str, JsonValue], pattern_weight: Callable[[str], int]) -> int:
    """How many parts a schema has, where what is referred to counts each time that it is.

    A reference back to where it is made counts once: what was compared with the same before is remembered.

    Args:
        schema: The schema.
        pattern_weight: That of a regular expression.

    Raises:
        UnusableSchemaError: It is heavier than may be, nested too deep, or refers by other means than JSON Pointers.
    """
    return _Weighing(schema, pattern_weight).weight(schema, 0)


def goes_many_ways(schema: dict[str, JsonValue]) -> bool:
    """Whether a schema refers back to itself in several places: all ways may be too many to gather what fails on each.

    What stands behind `not` is left out: nothing is gathered there. Raises what `schema_weight` does.
    """
    weighing = _Weighing(schema, lambda _pattern: 1, is_not_followed=False)
    weighing.weight(schema, 0)
    return weighing.back_references > 1


class _Weighing:
    def __init__(
        self, root: dict[str, JsonValue], pattern_weight: Callable[[str], int], *, is_not_followed: bool = True
    ) -> None:
        self.back_references = 0
        self._back_references_of: dict[str, int] = {}
        self._is_not_followed = is_not_followed
        self._root = root
        self._pattern_weight = pattern_weight
        self._known: dict[str, int] = {}
        self._is_open: set[str] = set()

    def weight(self, part: JsonValue, depth: int) -> int:
        if depth > MAX_SCHEMA_DEPTH:
            raise UnusableSchemaError("it is nested too deep")
        if isinstance(part, list):
            total = 1 + sum(self.weight(one, depth + 1) for one in part)
        elif isinstance(part, dict):
            total = 1 + sum(self._weight_of_word(word, one, depth + 1) for word, one in part.items())
        else:
            return 1
        if total > MAX_WEIGHT:
            raise UnusableSchemaError("comparing with it may take too long")
        return total

    def _weight_of_word(self, word: str, part: JsonValue, depth: int) -> int:
        if word in _ANNOTATIONS or (word == "not" and not self._is_not_followed):
            return 0
        if word in _VALUES:
            return 1 if _is_light(part) else _parts(part)
        if word in _NAMED and isinstance(part, dict):
            patterns = sum(map(self._pattern_weight, part)) if word == "patternProperties" else 0
            return 1 + patterns + sum(self.weight(one, depth) for one in part.values())
        if word in _OTHER_REFERENCES or (word == "$id" and depth > 1 and isinstance(part, str)):
            raise UnusableSchemaError("it refers to parts of itself by other means than JSON Pointers")
        if word == "uniqueItems" and part is True:
            return UNIQUE_WEIGHT
        if isinstance(part, str):
            return self._weight_of_text(word, part, depth)
        return self.weight(part, depth)

    def _weight_of_text(self, word: str, text: str, depth: int) -> int:
        if word == "$ref":
            return self._weight_of_target(text, depth)
        return self._pattern_weight(text) if word == "pattern" else 1

    def _weight_of_target(self, reference: str, depth: int) -> int:
        if reference in self._is_open:
            self.back_references += 1
            return 1
        if reference in self._known:
            self.back_references += self._back_references_of[reference]
        else:
            before = self.back_references
            self._is_open.add(reference)
            self._known[reference] = self.weight(self._target(reference), depth)
            self._is_open.remove(reference)
            self._back_references_of[reference] = self.back_references - before
        return self._known[reference]

    def _target(self, reference: str) -> JsonValue:
        if not reference.startswith("#"):
            raise UnusableSchemaError("it refers to what is elsewhere")
        found: Any = self._root
        for step in reference[1:].split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            try:
                found = found[int(key)] if isinstance(found, list) else found[key]
            except (KeyError, ValueError, IndexError, TypeError) as error:
                raise UnusableSchemaError("it refers to what is not there") from error
        plain: JsonValue = found
        return plain


def _is_light(values: JsonValue) -> bool:
    """Whether a value is looked for among these without going through them."""
    return isinstance(values, list) and not any(isinstance(one, (list, dict)) for one in values)


def _parts(value: JsonValue) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(_parts, inner))
