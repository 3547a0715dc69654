"""Kinds, as the task store knows them from processors."""

from typing import Annotated

from pydantic import Field, JsonValue

from taskmill.contracts.limits import DEFAULT_PAGE_ITEMS, MAX_DECLARING_PROCESSORS, MAX_KIND_DECLARATIONS
from taskmill.contracts.requests import Cursor, PageLimit, Request
from taskmill.contracts.tasks import Kind, KindDefaults, NextCursor, ProcessorId, WireModel

PayloadSchema = Annotated[
    dict[str, JsonValue], Field(description="A JSON Schema (2020-12, unless it says otherwise) of payloads.")
]


class ListKinds(Request):
    """Read a page of the kinds, by name. Replied to with `KindPage`."""

    limit: PageLimit = DEFAULT_PAGE_ITEMS
    cursor: Cursor | None = None


class KindDeclaration(WireModel):
    """What some of the processors with a kind declare for it."""

    processors: Annotated[
        list[ProcessorId],
        Field(max_length=MAX_DECLARING_PROCESSORS, description="Who declares it, the last started first: 10 at most."),
    ]
    processor_count: Annotated[int, Field(ge=1, description="How many do.")]
    defaults: Annotated[KindDefaults, Field(description="For tasks that do not say otherwise.")]
    payload_schema: Annotated[
        PayloadSchema | None, Field(description="What payloads must fit; null: their handlers do not say.")
    ] = None


class KnownKind(WireModel):
    """A kind that a processor has a handler for, or had one that declared something."""

    kind: Kind
    is_served: Annotated[bool, Field(description="Whether a processor that was heard of lately has a handler for it.")]
    defaults: Annotated[KindDefaults, Field(description="What holds for its tasks that do not say otherwise.")]
    payload_schema: Annotated[
        PayloadSchema | None,
        Field(description="What its payloads must fit; null: no handler says, or those processors do not agree."),
    ] = None
    declaration_count: Annotated[
        int, Field(ge=0, description="How many different things living processors declare; more than 1: they differ.")
    ] = 0
    declarations: Annotated[
        list[KindDeclaration],
        Field(
            max_length=MAX_KIND_DECLARATIONS,
            description="While they differ, what they declare: the first 8. The defaults of the first hold, which is "
            "that of the processor that was started last; a payload must fit the schema of one of them.",
        ),
    ] = []
    unchecked_reason: Annotated[
        str | None,
        Field(description="Why the gateway compares no payload with a schema that is told; null: it does, or none is."),
    ] = None


class KindPage(WireModel):
    """A page of kinds, by name. It may end before `limit` so that it fits a message."""

    items: Annotated[list[KnownKind], Field(description="The kinds. Up to 200.")]
    next_cursor: NextCursor = None
