"""What requests about groups ask of the store: from the request to the body of the reply.

`DatabaseUnavailableError` may come from any of them.
"""

from taskmill.contracts.groups import CreateGroup, GetGroup, ListGroups
from taskmill.runtime.reply import Reply
from taskmill.task_store.domain.cursors import LAST_ID, id_cursor, parse_id_cursor
from taskmill.task_store.domain.documents import page_of
from taskmill.task_store.domain.groups import group_document
from taskmill.task_store.use_cases import Ports, change


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
    before = parse_id_cursor(request.cursor, start=LAST_ID)
    found = await ports.groups.page(before=before, limit=request.limit + 1)
    counts = await ports.groups.counts([group.id for group in found[: request.limit]])
    return page_of(
        found,
        request.limit,
        lambda group: group_document(group, counts.get(group.id, {})),
        lambda group: id_cursor(group.id),
    )
