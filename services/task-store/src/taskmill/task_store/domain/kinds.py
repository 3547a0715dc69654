"""What the handlers of each kind declare for tasks that do not say otherwise."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from taskmill.contracts.kinds import KnownKind
from taskmill.contracts.reports import Hello
from taskmill.contracts.tasks import KindDefaults
from taskmill.task_store.domain.retries import NO_DEFAULTS


class KindBook:
    """The defaults that are known, and what a batch changes of them.

    Args:
        known: The defaults by kind.
    """

    def __init__(self, known: Mapping[str, KindDefaults]) -> None:
        self._known = known
        self.changed: dict[str, KindDefaults] = {}

    def defaults(self, kind: str) -> KindDefaults:
        """What holds for tasks of a kind."""
        return self.changed.get(kind) or self._known.get(kind, NO_DEFAULTS)

    def declare(self, hello: Hello) -> None:
        """Take over what a processor's handlers declare, or do not any more. Who says it last is right."""
        for kind in hello.kinds:
            defaults = hello.kind_defaults.get(kind, NO_DEFAULTS)
            if defaults != self.defaults(kind):
                self.changed[kind] = defaults


class ServedKinds(NamedTuple):
    """What one living processor has handlers for."""

    kinds: Collection[str]
    payload_schemas: Mapping[str, dict[str, Any]]
    """Of those of these kinds that have one."""


def known_kinds(declared: Mapping[str, KindDefaults], processors: Iterable[ServedKinds]) -> list[KnownKind]:
    """All kinds that are known, by name.

    A schema holds for a kind if every processor that serves it tells the same: while they differ, as in a rollout, a
    payload that one of them would refuse may suit another.

    Args:
        declared: What handlers declared, also of processors that are gone.
        processors: The living ones.
    """
    schemas: dict[str, list[dict[str, Any] | None]] = {}
    for served in processors:
        for kind in served.kinds:
            schemas.setdefault(kind, []).append(served.payload_schemas.get(kind))
    return [
        KnownKind(
            kind=kind,
            is_served=kind in schemas,
            defaults=declared.get(kind, NO_DEFAULTS),
            payload_schema=_common(schemas.get(kind, [])),
        )
        for kind in sorted({*declared, *schemas})
    ]


def _common(schemas: list[dict[str, Any] | None]) -> dict[str, Any] | None:
    return schemas[0] if schemas and all(schema == schemas[0] for schema in schemas) else None
