"""Fields of a body that keep their value when the client leaves them out: they have no default, and show none."""

from typing import Any


def left_out() -> Any:
    """The default of a field that is never read unless the client gave it, and so has no default to show."""
    return None


def without_defaults(schema: dict[str, Any]) -> None:
    """Have the JSON schema of a model show no defaults."""
    for field in schema["properties"].values():
        field.pop("default", None)
