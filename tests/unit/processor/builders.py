"""Attempts for tests, and a report of a type that no handler can tell yet."""

from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from taskmill.contracts.reports import HandlerReport
from taskmill.contracts.status import Priority
from taskmill.contracts.tasks import Line, LineLevel
from taskmill.contracts.work import WorkItem
from taskmill.processor.domain.held_attempt import HeldAttempt


class Noted(HandlerReport):
    """What a handler says and nothing replaces: each one is told."""

    type: Literal["noted"] = "noted"
    text: str


def new_attempt(number: int = 1, *, delivery: int = 1, possible_crashes: int = 0) -> HeldAttempt:
    """An attempt of the task with this number."""
    item = WorkItem(
        task_id=UUID(int=number),
        run=1,
        attempt=1,
        dispatch=1,
        title="A task",
        kind="k",
        queue="q",
        priority=Priority.LOW,
    )
    return HeldAttempt.fetched(item, delivery, f"reply.{number}.{delivery}", possible_crashes=possible_crashes)


def new_line(text: str) -> Line:
    """A line."""
    return Line(at=datetime(2026, 1, 1, tzinfo=UTC), level=LineLevel.INFO, text=text)
