"""API keys as they stand."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from taskmill.contracts.api_keys import ApiKey, CreateApiKey, FoundApiKey, FoundApiKeys

LAST_USED_GRAIN = timedelta(minutes=1)
"""`last_used_at` is not written more often."""

KEPT_AFTER_END = timedelta(days=30)
"""How long is known what a key was that was revoked, or has expired."""


class ApiKeyState(NamedTuple):
    """A key's row: these fields, in this order, are the columns of `api_keys`.

    Fields whose name is that of a field of `ApiKey` of the contracts mean the same.
    """

    id: str
    digest: str
    name: str
    scopes: Sequence[str]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


def new_api_key(request: CreateApiKey, now: datetime) -> ApiKeyState:
    """A key that somebody has made."""
    return ApiKeyState(
        id=request.id,
        digest=request.digest,
        name=request.name,
        scopes=sorted({scope.value for scope in request.scopes}),
        created_at=now,
        created_by=request.created_by,
        expires_at=request.expires_at,
        revoked_at=None,
        last_used_at=None,
    )


def api_key_document(key: ApiKeyState) -> bytes:
    """An `ApiKey`."""
    return ApiKey.model_validate(key._asdict()).model_dump_json().encode()


def found_document(keys: Sequence[ApiKeyState]) -> bytes:
    """`FoundApiKeys`."""
    found = [FoundApiKey.model_validate(key._asdict()) for key in keys]
    return FoundApiKeys(keys=found).model_dump_json().encode()
