"""What requests about limits and shares ask of the store: from the request to the body of the reply.

`DatabaseUnavailableError` may come from any of them.
"""

from taskmill.contracts.errors import LimitNotFoundError
from taskmill.contracts.turns import (
    Deleted,
    DeleteLimit,
    DeleteShare,
    GetLimit,
    GetShare,
    ListLimits,
    ListShares,
    PutLimit,
    PutShare,
)
from taskmill.task_store.domain.cursors import name_cursor, parse_name_cursor
from taskmill.task_store.domain.documents import page_of
from taskmill.task_store.domain.turns import LimitState, ShareState, limit_document, share_document
from taskmill.task_store.use_cases import Ports


async def put_limit(ports: Ports, request: PutLimit) -> bytes:
    """`PutLimit` → `Limit`. Raises `TooManyLimitsError`."""
    now, rate = ports.now(), request.rate
    tasks, seconds = (None, None) if rate is None else (rate.tasks, rate.seconds)
    holds_for = (request.name, request.kind, request.concurrency_key)
    limit = await ports.turns.put_limit(LimitState(*holds_for, request.max_in_progress, tasks, seconds, now, now))
    ports.on_turn_settings()
    return limit_document(limit)


async def get_limit(ports: Ports, request: GetLimit) -> bytes:
    """`GetLimit` → `Limit`. Raises `LimitNotFoundError`."""
    for limit in (await ports.turns.limits()).limits:
        if limit.name == request.name:
            return limit_document(limit)
    raise LimitNotFoundError


async def list_limits(ports: Ports, request: ListLimits) -> bytes:
    """`ListLimits` → `LimitPage`."""
    behind = parse_name_cursor(request.cursor)
    found = [limit for limit in (await ports.turns.limits()).limits if limit.name > behind]
    return page_of(found, request.limit, limit_document, lambda limit: name_cursor(limit.name))


async def delete_limit(ports: Ports, request: DeleteLimit) -> bytes:
    """`DeleteLimit` → `Deleted`. Raises `LimitNotFoundError`."""
    await ports.turns.delete_limit(request.name)
    ports.on_turn_settings()
    return Deleted(name=request.name).model_dump_json().encode()


async def put_share(ports: Ports, request: PutShare) -> bytes:
    """`PutShare` → `Share`. Raises `TooManySharesError`."""
    now = ports.now()
    share = await ports.turns.put_share(ShareState(request.concurrency_key, request.weight, now, now))
    ports.on_turn_settings()
    return share_document(share)


async def get_share(ports: Ports, request: GetShare) -> bytes:
    """`GetShare` → `Share`. Raises `ShareNotFoundError`."""
    return share_document(await ports.turns.share(request.concurrency_key))


async def list_shares(ports: Ports, request: ListShares) -> bytes:
    """`ListShares` → `SharePage`."""
    found = await ports.turns.shares(behind=parse_name_cursor(request.cursor), limit=request.limit + 1)
    return page_of(found, request.limit, share_document, lambda share: name_cursor(share.concurrency_key))


async def delete_share(ports: Ports, request: DeleteShare) -> bytes:
    """`DeleteShare` → `Deleted`. Raises `ShareNotFoundError`."""
    await ports.turns.delete_share(request.concurrency_key)
    ports.on_turn_settings()
    return Deleted(name=request.concurrency_key).model_dump_json().encode()
