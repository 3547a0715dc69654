"""What is known of kinds: of those that are served, and of those that were declared."""

from typing import Any

import pytest

from taskmill.contracts.tasks import KindDefaults
from taskmill.task_store.domain.kinds import ServedKinds, known_kinds

SCHEMA: dict[str, Any] = {"type": "object", "required": ["width"]}
OTHER: dict[str, Any] = {"type": "object"}


def test_kinds_are_known_from_processors_and_from_what_was_declared() -> None:
    """By name, each with its defaults."""
    defaults = KindDefaults(queue="slow")
    known = known_kinds({"gone": defaults}, [ServedKinds(["sleep", "echo"], {}), ServedKinds(["echo"], {})])
    assert [(one.kind, one.is_served) for one in known] == [("echo", True), ("gone", False), ("sleep", True)]
    assert [one.defaults for one in known] == [KindDefaults(), defaults, KindDefaults()]


@pytest.mark.parametrize(
    ("told", "common"),
    [
        ([{"media": SCHEMA}], SCHEMA),
        ([{"media": SCHEMA}, {"media": {**SCHEMA}}], SCHEMA),
        ([{"media": SCHEMA}, {"media": OTHER}], None),
        ([{"media": SCHEMA}, {}], None),
        ([{}], None),
    ],
)
def test_a_schema_holds_when_all_who_serve_the_kind_agree(told: list[dict[str, Any]], common: object) -> None:
    """A processor that says nothing takes anything; one that does not serve the kind has no say."""
    processors = [ServedKinds(["media"], schemas) for schemas in told]
    [_, known] = known_kinds({}, [*processors, ServedKinds(["echo"], {})])
    assert (known.kind, known.payload_schema) == ("media", common)
