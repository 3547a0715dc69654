"""What is known of kinds: of those that are served, and of those that were declared."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest

from taskmill.contracts.limits import MAX_KIND_DECLARATIONS
from taskmill.contracts.reports import Hello
from taskmill.contracts.tasks import KindDefaults
from taskmill.task_store.domain.kinds import KindBook, ServedKinds, known_kinds
from taskmill.task_store.domain.waiting import ServedWork

SCHEMA: dict[str, Any] = {"type": "object", "required": ["width"]}
EARLY, LATE = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
OTHER: dict[str, Any] = {"type": "object"}


def serving(
    *kinds: str,
    name: str = "p",
    started_at: datetime | None = None,
    defaults: Mapping[str, KindDefaults] = MappingProxyType({}),
    schemas: Mapping[str, dict[str, Any]] = MappingProxyType({}),
) -> ServedKinds:
    """A living processor."""
    return ServedKinds(name, started_at, kinds, defaults, schemas)


def test_kinds_are_known_from_processors_and_from_what_was_declared() -> None:
    """By name, each with its defaults."""
    defaults = KindDefaults(queue="slow")
    known = known_kinds({"gone": defaults}, [serving("sleep", "echo"), serving("echo")])
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
    processors = [serving("media", schemas=schemas) for schemas in told]
    [_, known] = known_kinds({}, [*processors, serving("echo")])
    assert (known.kind, known.payload_schema) == ("media", common)


def test_while_processors_differ_it_is_told_what_each_declares() -> None:
    """That of the one that was started last comes first; who says the same is told together."""
    old, new = KindDefaults(queue="old"), KindDefaults(queue="new")
    processors = [
        serving("media", name="b", started_at=EARLY, defaults={"media": old}),
        serving("media", name="a", started_at=LATE, defaults={"media": new}, schemas={"media": SCHEMA}),
        serving("media", name="c", defaults={"media": old}),
    ]
    [known] = known_kinds({"media": new}, processors)
    assert known.declaration_count == 2
    told = [(one.processors, one.processor_count, one.defaults, one.payload_schema) for one in known.declarations]
    assert told == [(["a"], 1, new, SCHEMA), (["b", "c"], 2, old, None)]
    [agreed] = known_kinds({}, processors[::2])
    assert (agreed.declaration_count, agreed.declarations) == (1, [])


def test_true_is_not_1_in_a_schema() -> None:
    """To Python they are equal; what fits one schema does not fit the other."""
    one = serving("media", name="a", schemas={"media": {"const": 1}})
    other = serving("media", name="b", schemas={"media": {"const": True}})
    [known] = known_kinds({}, [one, other])
    assert (known.declaration_count, known.payload_schema) == (2, None)


def test_no_more_declarations_are_told_than_fit() -> None:
    """How many there are is told all the same."""
    all_differ = [
        serving("media", name=str(number), defaults={"media": KindDefaults(timeout_seconds=number)})
        for number in range(1, 11)
    ]
    [known] = known_kinds({}, all_differ)
    assert (known.declaration_count, len(known.declarations)) == (10, MAX_KIND_DECLARATIONS)


def declared(started_at: datetime | None, *others: ServedWork, name: str = "m", **fields: Any) -> str | None:
    """The queue of a kind that was `old`, after a processor has declared `new`."""
    book = KindBook({"media": KindDefaults(queue="old")})
    defaults = {"media": KindDefaults(queue="new")}
    said = Hello(
        queues=["default"],
        kinds=["media"],
        kind_defaults=defaults,
        slots=1,
        software_version="1",
        started_at=started_at,
        **fields,
    )
    book.declare(name, said, others)
    return book.defaults("media").queue


def living(name: str, started_at: datetime | None, *kinds: str) -> ServedWork:
    """A processor that is known."""
    return ServedWork(frozenset(["default"]), frozenset(kinds), name, started_at)


@pytest.mark.parametrize(
    ("started_at", "other", "queue"),
    [
        (EARLY, living("z", LATE, "media"), "old"),
        (LATE, living("z", EARLY, "media"), "new"),
        (EARLY, living("z", LATE, "echo"), "new"),
        (EARLY, living("z", EARLY, "media"), "old"),
        (EARLY, living("a", EARLY, "media"), "new"),
        (None, living("a", EARLY, "media"), "old"),
        (EARLY, living("z", None, "media"), "new"),
        (EARLY, living("m", LATE, "media"), "new"),
    ],
)
def test_who_was_started_last_declares_what_holds(started_at: datetime | None, other: ServedWork, queue: str) -> None:
    """Whoever speaks last; of two that were started at once the greater id; who does not say when comes behind."""
    assert declared(started_at, other) == queue


def test_who_drains_declares_nothing() -> None:
    """What it says then is of the past."""
    assert declared(LATE, is_draining=True) == "old"
