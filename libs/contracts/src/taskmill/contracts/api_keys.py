"""API keys: who may do what over HTTP. A key itself is seen by its client and a gateway only; see `key_text`."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from taskmill.contracts.instants import BoundedInstant
from taskmill.contracts.limits import DEFAULT_PAGE_ITEMS, MAX_FOUND_KEYS, MAX_KEY_NAME_CHARS
from taskmill.contracts.patterns import KEY_ID_PATTERN
from taskmill.contracts.requests import Cursor, PageLimit, Request
from taskmill.contracts.tasks import WITHOUT_NUL, Instant, NextCursor, WireModel


class Scope(StrEnum):
    """What somebody may do."""

    TASKS_READ = "tasks:read"
    """Read tasks, kinds, queues, limits, shares and processors."""

    TASKS_WRITE = "tasks:write"
    """Create, change, process and delete tasks."""

    TASKS_CANCEL = "tasks:cancel"
    """Cancel tasks."""

    EVENTS_READ = "events:read"
    """Read and follow what happens."""

    QUEUES_ADMIN = "queues:admin"
    """Pause and resume queues, drain processors, and set limits and shares."""

    WEBHOOKS_ADMIN = "webhooks:admin"
    """Make, read, change and delete webhooks, and have events told again."""

    KEYS_ADMIN = "keys:admin"
    """Make, list and revoke API keys."""


ALL_SCOPES = tuple(Scope)

KeyId = Annotated[
    str,
    StringConstraints(pattern=KEY_ID_PATTERN),
    Field(description="Identifies the key: the part behind `tm_`. No secret.", examples=["mfx3a91k0c7qd2zt"]),
]
KeyName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_KEY_NAME_CHARS),
    WITHOUT_NUL,
    Field(description="What it is for, for people. 1 to 100 characters.", examples=["billing"]),
]
Scopes = Annotated[
    list[Scope],
    Field(min_length=1, max_length=len(ALL_SCOPES), description="What who has it may do.", examples=[["tasks:write"]]),
]
KeyExpiry = Annotated[BoundedInstant | None, Field(description="From when on it is worth nothing; null: never.")]


class KeyRequest(Request):
    """Base of what is asked about keys. Validators are built when they are used first: few processes need them."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")


class CreateApiKey(KeyRequest):
    """Keep a key that the caller has made. Replied to with `ApiKey`."""

    id: KeyId
    digest: Annotated[
        str, StringConstraints(pattern=r"^[0-9a-f]{64}$"), Field(description="See `taskmill.contracts.key_text`.")
    ]
    name: KeyName
    scopes: Scopes
    expires_at: KeyExpiry = None
    created_by: Annotated[str, Field(max_length=300, description="Who asks for it, as gateways call callers.")]


class GetApiKey(KeyRequest):
    """Read what is known of a key. Replied to with `ApiKey`."""

    id: KeyId


class ListApiKeys(KeyRequest):
    """Read a page of keys, oldest first. Replied to with `ApiKeyPage`."""

    is_usable: Annotated[bool, Field(description="Only those that are neither revoked nor expired.")] = False
    limit: PageLimit = DEFAULT_PAGE_ITEMS
    cursor: Cursor | None = None


class RevokeApiKey(KeyRequest):
    """Have a key be worth nothing, for good. One that is revoked stays as it is. Replied to with `ApiKey`."""

    id: KeyId


class FindApiKeys(KeyRequest):
    """Read what keys are checked against, of those that can be used now. Replied to with `FoundApiKeys`."""

    ids: Annotated[list[KeyId], Field(max_length=MAX_FOUND_KEYS, description="Those that are looked for.")]
    used: Annotated[
        list[KeyId], Field(max_length=MAX_FOUND_KEYS, description="Those that were used since they were looked for.")
    ] = []


class ApiKey(WireModel):
    """What is known of an API key: all but the key."""

    id: KeyId
    name: KeyName
    scopes: Annotated[list[str], Field(description="What who has it may do; newer versions may know more scopes.")]
    created_at: Instant
    created_by: Annotated[
        str, Field(description="Who made it: `key:<id>`, `token:<subject>`, `local-dev`, `anonymous` or `operator`.")
    ]
    expires_at: KeyExpiry = None
    revoked_at: Annotated[
        Instant | None, Field(description="Since when it is worth nothing; null: it is not revoked.")
    ] = None
    last_used_at: Annotated[
        Instant | None, Field(description="When it was used last, to a minute; null: never yet.")
    ] = None


class ApiKeyWithSecret(ApiKey):
    """A new key, with the key itself, which is never shown again."""

    key: Annotated[str, Field(description="What is sent as `Authorization: Bearer`. Shown this once.")]


class ApiKeyPage(WireModel):
    """A page of keys, oldest first."""

    items: Annotated[list[ApiKey], Field(description="The keys. Up to 200.")]
    next_cursor: NextCursor = None


class FoundApiKey(WireModel):
    """What a key is checked against. Never shown to clients."""

    id: KeyId
    digest: str
    scopes: list[str]
    """Also those that only a newer version knows."""
    expires_at: Instant | None = None


class FoundApiKeys(WireModel):
    """Those that were found. One that is missing is unknown, revoked or expired."""

    keys: list[FoundApiKey]
