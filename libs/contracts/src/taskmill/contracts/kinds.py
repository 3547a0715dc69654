"""Kinds, as the task store knows them from processors."""

from typing import Annotated

from pydantic import Field, JsonValue

from taskmill.contracts.limits import DEFAULT_PAGE_ITEMS
from taskmill.contracts.requests import Cursor, PageLimit, Request
from taskmill.contracts.tasks import Kind, KindDefaults, NextCursor, WireModel

PayloadSchema = Annotated[
    dict[str, JsonValue], Field(description="A JSON Schema (2020-12, unless it says otherwise) of payloads.")
]


class ListKinds(Request):
    """Read a page of the kinds, by name. Replied to with `KindPage`."""

    limit: PageLimit = DEFAULT_PAGE_ITEMS
    cursor: Cursor | None = None


class KnownKind(WireModel):
    """A kind that a processor has a handler for, or had one that declared something."""

    kind: Kind
    is_served: Annotated[bool, Field(description="Whether a processor that was heard of lately has a handler for it.")]
    defaults: Annotated[KindDefaults, Field(description="What holds for its tasks that do not say otherwise.")]
    payload_schema: Annotated[
        PayloadSchema | None,
        Field(description="What its payloads must fit; null: no handler says, or those processors do not agree."),
    ] = None


class KindPage(WireModel):
    """A page of kinds, by name. It may end before `limit` so that it fits a message."""

    items: Annotated[list[KnownKind], Field(description="The kinds. Up to 200.")]
    next_cursor: NextCursor = None
