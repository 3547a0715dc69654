"""What requests about API keys ask of the store: from the request to the body of the reply.

The store never sees a key, only its digest. `DatabaseUnavailableError` may come from any of them.
"""

from taskmill.contracts.api_keys import CreateApiKey, FindApiKeys, GetApiKey, ListApiKeys, RevokeApiKey
from taskmill.task_store.domain.api_keys import api_key_document, found_document, new_api_key
from taskmill.task_store.domain.cursors import name_cursor, parse_name_cursor
from taskmill.task_store.domain.documents import page_of
from taskmill.task_store.use_cases import Ports


async def create_key(ports: Ports, request: CreateApiKey) -> bytes:
    """`CreateApiKey` → `ApiKey`. Raises `InvalidRequestError`, `TooManyApiKeysError`."""
    key = new_api_key(request, ports.now())
    await ports.api_keys.add(key)
    return api_key_document(key)


async def get_key(ports: Ports, request: GetApiKey) -> bytes:
    """`GetApiKey` → `ApiKey`. Raises `ApiKeyNotFoundError`."""
    return api_key_document(await ports.api_keys.key(request.id))


async def list_keys(ports: Ports, request: ListApiKeys) -> bytes:
    """`ListApiKeys` → `ApiKeyPage`."""
    usable_at = ports.now() if request.is_usable else None
    behind = parse_name_cursor(request.cursor)
    found = await ports.api_keys.page(behind=behind, limit=request.limit + 1, usable_at=usable_at)
    return page_of(found, request.limit, api_key_document, lambda key: name_cursor(key.id))


async def revoke_key(ports: Ports, request: RevokeApiKey) -> bytes:
    """`RevokeApiKey` → `ApiKey`, once that is committed. Raises `ApiKeyNotFoundError`."""
    return api_key_document(await ports.api_keys.revoke(request.id, ports.now()))


async def find_keys(ports: Ports, request: FindApiKeys) -> bytes:
    """`FindApiKeys` → `FoundApiKeys`."""
    now = ports.now()
    found = await ports.api_keys.find(request.ids, now)
    if request.used:
        await ports.api_keys.note_use(request.used, now)
    return found_document(found)
