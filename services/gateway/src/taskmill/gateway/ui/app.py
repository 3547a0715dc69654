"""Puts the dashboard together."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from starlette.types import Scope as AsgiScope

from taskmill.contracts.api_keys import Scope
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api.admission import Admission
from taskmill.gateway.api.event_endpoints import EventEndpoints
from taskmill.gateway.api.payload_check import PayloadCheck
from taskmill.gateway.ui.dashboard import Dashboard
from taskmill.gateway.ui.fleet import FleetPages
from taskmill.gateway.ui.live import LivePages
from taskmill.gateway.ui.new_task import NewTaskPages
from taskmill.gateway.ui.overview import OverviewPages
from taskmill.gateway.ui.pages import Parts, declared_pages
from taskmill.gateway.ui.rendering import Renderer
from taskmill.gateway.ui.schedules import SchedulePages
from taskmill.gateway.ui.session import SessionPages
from taskmill.gateway.ui.task import TaskPages
from taskmill.gateway.ui.tasks import TaskListPages
from taskmill.gateway.ui.webhooks import WebhookPages
from taskmill.runtime.clock import Clock


def create_dashboard(
    store: Store,
    events: EventEndpoints,
    payloads: PayloadCheck,
    *,
    admission: Admission,
    version: str,
    now: Clock,
    new_id: Callable[[], UUID],
    trace_url: str | None,
    shows_payloads: bool,
) -> Dashboard:
    """Build the dashboard.

    Args:
        store: The task store.
        events: Follows the log.
        payloads: Finds payloads that cannot fit.
        admission: Says who may ask for what.
        version: Of Taskmill.
        now: The clock.
        new_id: Makes the id of a new task or bulk operation, a UUID of version 7.
        trace_url: Where a trace can be seen, with `{trace_id}` in place of its id; None: nowhere.
        shows_payloads: Whether payloads and results are shown.
    """
    parts = Parts(
        store,
        Renderer(version=version, now=now, has_login=admission.needs_credentials, shows_payloads=shows_payloads),
        _admit_reader(admission),
        new_id,
        payloads,
        trace_url,
        shows_payloads,
    )
    classes = (NewTaskPages, TaskListPages, TaskPages, FleetPages, SchedulePages, WebhookPages, SessionPages)
    pages = [page for pages in classes for page in declared_pages(pages(parts))]
    pages += declared_pages(OverviewPages(parts, now=now))
    pages += declared_pages(LivePages(events, shows_payloads=shows_payloads))
    return Dashboard(pages, parts, admission)


def _admit_reader(admission: Admission) -> Callable[[AsgiScope], Awaitable[object]]:
    def admit(scope: AsgiScope) -> Awaitable[object]:
        return admission.admit(scope, Scope.TASKS_READ)

    return admit
