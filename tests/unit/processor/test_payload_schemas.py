"""What a processor tells of the schemas of payloads."""

from typing import Any

from taskmill.processor.domain.payload_schemas import told_schemas


def schema(size: int) -> dict[str, Any]:
    """A schema of so many characters, more or less."""
    return {"title": "x" * size}


def test_schemas_are_told_under_a_digest() -> None:
    """It changes with them, and not with the order in which they are given."""
    one, other = {"a": schema(1), "b": schema(2)}, {"b": schema(2), "a": schema(1)}
    told = told_schemas(one)
    assert (told.by_kind, told.left_out) == (one, {})
    assert told.digest == told_schemas(other).digest
    assert told.digest != told_schemas({"a": schema(1)}).digest


def test_without_schemas_there_is_no_digest() -> None:
    """Nothing is referred to then."""
    assert told_schemas({}) == ({}, None, {})


def test_what_is_too_large_is_left_out() -> None:
    """One schema, or those for which there is no room any more; the others are told."""
    told = told_schemas({"a": schema(20_000), **{f"b{number}": schema(16_000) for number in range(9)}})
    assert list(told.by_kind) == [f"b{number}" for number in range(8)]
    assert told.left_out == {
        "a": "the schema is larger than 16384 bytes as compact JSON",
        "b8": "the schemas of all kinds are larger than 131072 bytes",
    }


def test_what_cannot_be_kept_is_left_out() -> None:
    """It would make the whole hello unreadable."""
    told = told_schemas({"a": {"const": "\x00"}, "b": {"default": object()}})
    assert (told.by_kind, told.digest, set(told.left_out)) == ({}, None, {"a", "b"})
