"""The pages of webhooks and of what became of their deliveries."""

import asyncio
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from taskmill.contracts import registry
from taskmill.contracts.api_keys import Scope
from taskmill.contracts.errors import DeliveryNotFoundError
from taskmill.contracts.limits import MAX_PAGE_ITEMS
from taskmill.contracts.requests import CancelTask, GetTask, ListTasks, ProcessTask, TaskFilter, TaskPage
from taskmill.contracts.status import TaskStatus
from taskmill.contracts.tasks import Task
from taskmill.contracts.webhooks import DELIVERY_KIND, WEBHOOK_LABEL, GetWebhook, ListWebhooks, Webhook, WebhookPage
from taskmill.gateway.api.webhook_bodies import delivery_of, is_delivery_of
from taskmill.gateway.ui.forms import read_form
from taskmill.gateway.ui.pages import Parts, page
from taskmill.gateway.ui.paging import ListPlace, cursor_of


class WebhookPages:
    """Webhooks and their deliveries."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @page("GET", "/webhooks", Scope.WEBHOOKS_ADMIN)
    async def webhooks(self, request: Request) -> Response:
        """Show a page of the webhooks."""
        cursor = cursor_of(request)
        reply = await self._parts.store.ask(registry.LIST_WEBHOOKS, ListWebhooks(limit=MAX_PAGE_ITEMS, cursor=cursor))
        found = WebhookPage.model_validate_json(reply.body)
        place = ListPlace("/webhooks", cursor, found.next_cursor)
        return self._parts.render(request, "webhooks.html", webhooks=found.items, place=place)

    @page("GET", "/webhooks/{webhook_id:uuid}", Scope.WEBHOOKS_ADMIN)
    async def webhook(self, request: Request) -> Response:
        """Show the newest deliveries of a webhook."""
        webhook_id: UUID = request.path_params["webhook_id"]
        conditions = TaskFilter(kind=DELIVERY_KIND, labels={WEBHOOK_LABEL: str(webhook_id)})
        webhook, found = await asyncio.gather(
            self._parts.store.ask(registry.GET_WEBHOOK, GetWebhook(id=webhook_id)),
            self._parts.store.ask(registry.LIST, ListTasks(filter=conditions, limit=50)),
        )
        deliveries = [delivery_of(task) for task in TaskPage.model_validate_json(found.body).items]
        return self._parts.render(
            request,
            "webhook.html",
            webhook=Webhook.model_validate_json(webhook.body),
            deliveries=deliveries,
        )

    @page("POST", "/webhooks/{webhook_id:uuid}/deliveries/{task_id:uuid}/redeliver", Scope.WEBHOOKS_ADMIN)
    async def redeliver(self, request: Request) -> Response:
        """Deliver once more."""
        await read_form(request)
        wanted = GetTask(id=request.path_params["task_id"])
        task = Task.model_validate_json((await self._parts.store.ask(registry.GET, wanted)).body)
        if not is_delivery_of(task, request.path_params["webhook_id"]):
            raise DeliveryNotFoundError
        if task.status is TaskStatus.SCHEDULED:
            await self._parts.store.ask(registry.CANCEL, CancelTask(id=task.id))
        await self._parts.store.ask(registry.PROCESS, ProcessTask(id=task.id))
        return await self.webhook(request)
