"""The first page: how much was done in the last hour, and who is there."""

import asyncio
import json
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from taskmill.contracts import registry
from taskmill.contracts.activity import Activity, ActivityMinute, ReadActivity
from taskmill.contracts.api_keys import Scope
from taskmill.contracts.fleet import ListProcessors, ListQueues, ProcessorPage, QueuePage
from taskmill.contracts.limits import MAX_PAGE_ITEMS
from taskmill.gateway.ui.pages import Parts, page
from taskmill.runtime.clock import Clock

SHOWN_MINUTES = 60
_MINUTE = timedelta(minutes=1)


class OverviewPages:
    """What happens, at a glance.

    Args:
        now: The clock.
    """

    def __init__(self, parts: Parts, *, now: Clock) -> None:
        self._parts = parts
        self._now = now

    @page("GET", "/overview", Scope.TASKS_READ)
    async def overview(self, request: Request) -> Response:
        """Show the last hour, the queues and the processors."""
        ask = self._parts.store.ask
        activity, queues, processors = await asyncio.gather(
            ask(registry.READ_ACTIVITY, ReadActivity(minutes=SHOWN_MINUTES)),
            ask(registry.LIST_QUEUES, ListQueues(limit=MAX_PAGE_ITEMS)),
            ask(registry.LIST_PROCESSORS, ListProcessors(limit=MAX_PAGE_ITEMS)),
        )
        minutes = Activity.model_validate_json(activity.body).items
        return self._parts.render(
            request,
            "overview.html",
            series=json.dumps(self._series(minutes)),
            totals={
                name: sum(getattr(minute, name) for minute in minutes)
                for name in ("created", "completed", "failed", "cancelled")
            },
            queues=QueuePage.model_validate_json(queues.body).items,
            processors=ProcessorPage.model_validate_json(processors.body).items,
        )

    def _series(self, minutes: list[ActivityMinute]) -> dict[str, list[Any]]:
        """A point for each of the last 60 minutes; where nothing was done, there is nothing to tell but that."""
        known = {minute.at: minute for minute in minutes}
        last = self._now().replace(second=0, microsecond=0)
        shown = [
            known.get(at) or ActivityMinute(at=at)
            for at in (last - back * _MINUTE for back in range(SHOWN_MINUTES - 1, -1, -1))
        ]
        return {
            "at": [int(minute.at.timestamp()) for minute in shown],
            "created": [minute.created for minute in shown],
            "completed": [minute.completed for minute in shown],
            "failed": [minute.failed for minute in shown],
            "wait": [minute.waited.p95_seconds for minute in shown],
            "p50": [minute.ran.p50_seconds for minute in shown],
            "p95": [minute.ran.p95_seconds for minute in shown],
            "oldest": [minute.oldest_queued_seconds or 0 for minute in shown],
        }
