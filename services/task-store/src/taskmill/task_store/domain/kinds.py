"""What the handlers of each kind declare for tasks that do not say otherwise."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from taskmill.contracts.json_text import is_same_json
from taskmill.contracts.kinds import KindDeclaration, KnownKind
from taskmill.contracts.limits import MAX_DECLARING_PROCESSORS, MAX_KIND_DECLARATIONS
from taskmill.contracts.reports import Hello
from taskmill.contracts.tasks import KindDefaults
from taskmill.task_store.domain.retries import NO_DEFAULTS
from taskmill.task_store.domain.waiting import ServedWork


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

    def declare(self, processor_id: str, hello: Hello, services: Iterable[ServedWork]) -> None:
        """Take over what a processor's handlers declare, or do not any more, unless others go before it.

        What holds is said by that of the living processors with the kind that was started last: in a rollout the newer
        one, whoever speaks last. All repeat what they declare: when it is gone, the next one is heard.

        Args:
            processor_id: Who declares it.
            hello: What.
            services: What the living processors do.
        """
        if hello.is_draining:
            return
        own_rank = rank(processor_id, hello.started_at)
        for kind in hello.kinds:
            defaults = hello.kind_defaults.get(kind, NO_DEFAULTS)
            if defaults != self.defaults(kind) and not any(
                kind in other.kinds
                and other.processor_id != processor_id
                and rank(other.processor_id, other.started_at) > own_rank
                for other in services
            ):
                self.changed[kind] = defaults


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def rank(processor_id: str, started_at: datetime | None) -> tuple[datetime, str]:
    """The higher, the more what a processor declares counts: when it was started, by its own clock, then its id."""
    return started_at or _LONG_AGO, processor_id


class ServedKinds(NamedTuple):
    """What one living processor has handlers for."""

    processor_id: str
    started_at: datetime | None
    kinds: Collection[str]
    kind_defaults: Mapping[str, KindDefaults]
    """Of those of these kinds that declare something."""
    payload_schemas: Mapping[str, dict[str, Any]]
    """Of those of these kinds that have one."""

    def declaration(self, kind: str) -> KindDeclaration:
        """What it declares for one of its kinds."""
        return KindDeclaration(
            processors=[self.processor_id],
            processor_count=1,
            defaults=self.kind_defaults.get(kind, NO_DEFAULTS),
            payload_schema=self.payload_schemas.get(kind),
        )


def known_kinds(declared: Mapping[str, KindDefaults], processors: Iterable[ServedKinds]) -> list[KnownKind]:
    """All kinds that are known, by name.

    Args:
        declared: What holds for kinds, also for those whose processors are gone.
        processors: The living ones.
    """
    by_rank = sorted(processors, key=lambda served: rank(served.processor_id, served.started_at), reverse=True)
    declarations: dict[str, list[KindDeclaration]] = {}
    for served in by_rank:
        for kind in served.kinds:
            _add(declarations.setdefault(kind, []), served.declaration(kind))
    return [
        _known(kind, declared.get(kind, NO_DEFAULTS), declarations.get(kind, []))
        for kind in sorted({*declared, *declarations})
    ]


def _known(kind: str, defaults: KindDefaults, declarations: Sequence[KindDeclaration]) -> KnownKind:
    schemas = [declaration.payload_schema for declaration in declarations]
    is_agreed = bool(schemas) and all(is_same_json(schema, schemas[0]) for schema in schemas)
    do_differ = len(declarations) > 1
    return KnownKind(
        kind=kind,
        is_served=bool(declarations),
        defaults=defaults,
        payload_schema=schemas[0] if is_agreed else None,
        declaration_count=len(declarations),
        declarations=list(declarations[:MAX_KIND_DECLARATIONS]) if do_differ else [],
    )


def _add(declarations: list[KindDeclaration], new: KindDeclaration) -> None:
    for position, old in enumerate(declarations):
        if old.defaults == new.defaults and is_same_json(old.payload_schema, new.payload_schema):
            processors = [*old.processors, *new.processors][:MAX_DECLARING_PROCESSORS]
            count = old.processor_count + 1
            declarations[position] = old.model_copy(update={"processors": processors, "processor_count": count})
            return
    declarations.append(new)
