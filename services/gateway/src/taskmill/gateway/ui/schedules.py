"""The page of schedules: when they fire next, and how to have them fire now."""

from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from taskmill.contracts import registry
from taskmill.contracts.api_keys import Scope
from taskmill.contracts.limits import MAX_PAGE_ITEMS
from taskmill.contracts.schedules import (
    FirePage,
    GetNextTimes,
    GetSchedule,
    ListFires,
    ListSchedules,
    NextTimes,
    RunSchedule,
    Schedule,
    SchedulePage,
    UpdateSchedule,
)
from taskmill.gateway.ui.forms import read_form
from taskmill.gateway.ui.pages import Parts, page, see
from taskmill.gateway.ui.paging import ListPlace, cursor_of
from taskmill.gateway.ui.route import PREFIX

_SHOWN_FIRES = 50


class SchedulePages:
    """Schedules and what became of their times."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @page("GET", "/schedules", Scope.TASKS_READ)
    async def schedules(self, request: Request) -> Response:
        """Show a page of the schedules."""
        cursor = cursor_of(request)
        wanted = ListSchedules(limit=MAX_PAGE_ITEMS, cursor=cursor)
        found = SchedulePage.model_validate_json((await self._parts.store.ask(registry.LIST_SCHEDULES, wanted)).body)
        place = ListPlace("/schedules", cursor, found.next_cursor)
        return self._parts.render(request, "schedules.html", schedules=found.items, place=place)

    @page("GET", "/schedules/{schedule_id:uuid}", Scope.TASKS_READ)
    async def schedule(self, request: Request) -> Response:
        """Show a schedule with its next times, and what became of those that came."""
        schedule_id: UUID = request.path_params["schedule_id"]
        ask = self._parts.store.ask
        reply = await ask(registry.GET_SCHEDULE, GetSchedule(id=schedule_id))
        times = await ask(registry.GET_NEXT_TIMES, GetNextTimes(id=schedule_id))
        fires = await ask(registry.LIST_FIRES, ListFires(schedule_id=schedule_id, limit=_SHOWN_FIRES))
        return self._parts.render(
            request,
            "schedule.html",
            schedule=Schedule.model_validate_json(reply.body),
            times=NextTimes.model_validate_json(times.body).items,
            fires=FirePage.model_validate_json(fires.body).items,
        )

    @page("POST", "/schedules/{schedule_id:uuid}/run", Scope.TASKS_WRITE)
    async def run(self, request: Request) -> Response:
        """Make a task of the schedule now, and show it."""
        await read_form(request)
        task_id = self._parts.new_id()
        wanted = RunSchedule(id=request.path_params["schedule_id"], task_id=task_id)
        await self._parts.store.ask(registry.RUN_SCHEDULE, wanted)
        return see(f"{PREFIX}/tasks/{task_id}", request)

    @page("POST", "/schedules/{schedule_id:uuid}/pause", Scope.TASKS_WRITE)
    async def pause(self, request: Request) -> Response:
        """Let its times pass without a task."""
        return await self._set_paused(request, is_paused=True)

    @page("POST", "/schedules/{schedule_id:uuid}/resume", Scope.TASKS_WRITE)
    async def resume(self, request: Request) -> Response:
        """Have tasks made again."""
        return await self._set_paused(request, is_paused=False)

    async def _set_paused(self, request: Request, *, is_paused: bool) -> Response:
        await read_form(request)
        wanted = UpdateSchedule(id=request.path_params["schedule_id"], changes={"is_paused": is_paused})
        await self._parts.store.ask(registry.UPDATE_SCHEDULE, wanted)
        return await self.schedule(request)
