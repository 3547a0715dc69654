"""API keys as rows of PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime

from taskmill.contracts.errors import ApiKeyNotFoundError, InvalidRequestError, TooManyApiKeysError
from taskmill.task_store.adapters.database import SharedConnections
from taskmill.task_store.adapters.models import ApiKeyRow, parameters
from taskmill.task_store.domain.api_keys import LAST_USED_GRAIN, ApiKeyState
from taskmill.task_store.domain.idempotency import ID_TAKEN

_PARAMETERS = parameters(ApiKeyRow)
_NAMES = ", ".join(_PARAMETERS)
_VALUES = ", ".join(_PARAMETERS.values())


def _usable(instant: str) -> str:
    return f"revoked_at IS NULL AND (expires_at IS NULL OR expires_at > {instant}::timestamptz)"


# Two that come at the very same moment may exceed the limit by one: it bounds work, and nothing breaks beyond it.
_ADD = f"""
INSERT INTO api_keys ({_NAMES}) SELECT {_VALUES}
WHERE (SELECT count(*) FROM api_keys WHERE {_usable("$5")}) < ${len(_PARAMETERS) + 1}::integer
ON CONFLICT DO NOTHING RETURNING id
"""  # noqa: S608  (names of the model, here and below)

_GET = f"SELECT {_NAMES} FROM api_keys WHERE id = $1"  # noqa: S608

_PAGE = f"""
SELECT {_NAMES} FROM api_keys
WHERE id COLLATE "C" > $1 AND ($2::timestamptz IS NULL OR {_usable("$2")}) ORDER BY id COLLATE "C" LIMIT $3
"""  # noqa: S608

_REVOKE = f"""
UPDATE api_keys SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1 RETURNING {_NAMES}
"""  # noqa: S608

_FIND = f"SELECT {_NAMES} FROM api_keys WHERE id = ANY($1::text[]) AND {_usable('$2')}"  # noqa: S608

_NOTE_USE = """
UPDATE api_keys SET last_used_at = $2
WHERE id = ANY($1::text[]) AND (last_used_at IS NULL OR last_used_at < $3)
"""


class ApiKeyRows:
    """The `ApiKeys` of PostgreSQL.

    Args:
        connections: For everything.
        max_keys: How many keys may be usable.
    """

    def __init__(self, connections: SharedConnections, *, max_keys: int) -> None:
        self._connections = connections
        self._max_keys = max_keys

    async def add(self, key: ApiKeyState) -> None:
        """See `ApiKeys`."""
        if not await self._connections.fetch(_ADD, *key, self._max_keys):
            if await self._fetch(_GET, key.id):
                raise InvalidRequestError(errors=[ID_TAKEN])
            raise TooManyApiKeysError(self._max_keys)

    async def key(self, key_id: str) -> ApiKeyState:
        """See `ApiKeys`."""
        return await self._one(_GET, key_id)

    async def page(self, *, behind: str, limit: int, usable_at: datetime | None = None) -> list[ApiKeyState]:
        """See `ApiKeys`."""
        return await self._fetch(_PAGE, behind, usable_at, limit)

    async def revoke(self, key_id: str, now: datetime) -> ApiKeyState:
        """See `ApiKeys`."""
        return await self._one(_REVOKE, key_id, now)

    async def find(self, key_ids: Sequence[str], now: datetime) -> list[ApiKeyState]:
        """See `ApiKeys`."""
        return await self._fetch(_FIND, key_ids, now)

    async def note_use(self, key_ids: Sequence[str], now: datetime) -> None:
        """See `ApiKeys`."""
        await self._connections.fetch(_NOTE_USE, key_ids, now, now - LAST_USED_GRAIN)

    async def _one(self, statement: str, *arguments: object) -> ApiKeyState:
        found = await self._fetch(statement, *arguments)
        if not found:
            raise ApiKeyNotFoundError
        return found[0]

    async def _fetch(self, statement: str, *arguments: object) -> list[ApiKeyState]:
        return [ApiKeyState(*row) for row in await self._connections.fetch(statement, *arguments)]
