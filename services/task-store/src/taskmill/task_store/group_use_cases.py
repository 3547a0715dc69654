"""What requests about groups ask of the store: from the request to the body of the reply.

`DatabaseUnavailableError` may come from any of them.
"""

from uuid import UUID

from taskmill.contracts.errors import FieldProblem, InvalidRequestError
from taskmill.contracts.groups import CreateGroup, GetGroup, ListGroups
from taskmill.runtime.reply import Reply
from taskmill.task_store.domain.documents import fitting, page_document
from taskmill.task_store.domain.groups import group_document
from taskmill.task_store.use_cases import Ports, change

_BEFORE_ALL = UUID(int=2**128 - 1)


async def create_group(ports: Ports, request: CreateGroup) -> bytes | Reply:
    """`CreateGroup` → `Group`: with all its tasks, or not at all."""
    async with ports.large_requests:
        return await change(ports, request)


async def get_group(ports: Ports, request: GetGroup) -> bytes:
    """`GetGroup` → `Group`. Raises `GroupNotFoundError`."""
    group = await ports.groups.group(request.id)
    counts = await ports.groups.counts([group.id])
    return group_document(group, counts.get(group.id, {}))


async def list_groups(ports: Ports, request: ListGroups) -> bytes:
    """`ListGroups` → `GroupPage`."""
    found = await ports.groups.page(before=_before(request.cursor), limit=request.limit + 1)
    counts = await ports.groups.counts([group.id for group in found[: request.limit]])
    items = fitting(group_document(group, counts.get(group.id, {})) for group in found[: request.limit])
    return page_document(items, str(found[len(items) - 1].id) if len(items) < len(found) else None)


def _before(cursor: str | None) -> UUID:
    try:
        return _BEFORE_ALL if cursor is None else UUID(cursor)
    except ValueError:
        problem = FieldProblem(pointer="/cursor", detail="No page ended with this cursor.", code="invalid_cursor")
        raise InvalidRequestError(errors=[problem]) from None
